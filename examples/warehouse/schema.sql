-- psql "$POSTGRES_DSN" -f examples/warehouse/schema.sql
CREATE TABLE IF NOT EXISTS kommo_messages (
    message     jsonb NOT NULL,
    scope_id    text GENERATED ALWAYS AS (message ->> 'scope_id') STORED,
    chat_id     text GENERATED ALWAYS AS (message ->> 'chat_id') STORED NOT NULL,
    message_id  text GENERATED ALWAYS AS (message ->> 'message_id') STORED NOT NULL,
    direction   text GENERATED ALWAYS AS (message ->> 'direction') STORED,
    type        text GENERATED ALWAYS AS (message ->> 'type') STORED,
    sent_at     timestamptz GENERATED ALWAYS AS (to_timestamp((message ->> 'sent_at_ms')::bigint / 1000.0)) STORED,
    sender_id   text GENERATED ALWAYS AS (message ->> 'sender_id') STORED,
    receiver_id text GENERATED ALWAYS AS (message ->> 'receiver_id') STORED,
    text        text GENERATED ALWAYS AS (message ->> 'text') STORED,
    PRIMARY KEY (chat_id, message_id)
);
CREATE INDEX IF NOT EXISTS kommo_messages_sent_at ON kommo_messages (sent_at);

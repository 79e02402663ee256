-- psql "$POSTGRES_DSN" -f examples/warehouse/schema.sql
CREATE TABLE IF NOT EXISTS kommo_messages (
    message         jsonb NOT NULL,
    deleted         boolean NOT NULL DEFAULT false, -- with changes: true
    operation       text GENERATED ALWAYS AS (message ->> 'operation') STORED,
    scope_id        text GENERATED ALWAYS AS (message ->> 'scope_id') STORED,
    -- '' where the CRM's messages do not say it. A key has no place for NULL.
    chat_id         text GENERATED ALWAYS AS (coalesce(message ->> 'chat_id', '')) STORED NOT NULL,
    talk_id         bigint GENERATED ALWAYS AS ((message ->> 'talk_id')::bigint) STORED,
    contact_id      bigint GENERATED ALWAYS AS ((message ->> 'contact_id')::bigint) STORED,
    entity_id       bigint GENERATED ALWAYS AS ((message ->> 'entity_id')::bigint) STORED,
    entity_type     text GENERATED ALWAYS AS (message ->> 'entity_type') STORED,
    origin          text GENERATED ALWAYS AS (message ->> 'origin') STORED,
    message_id      text GENERATED ALWAYS AS (message ->> 'message_id') STORED NOT NULL,
    direction       text GENERATED ALWAYS AS (message ->> 'direction') STORED,
    type            text GENERATED ALWAYS AS (message ->> 'type') STORED,
    sent_at         timestamptz GENERATED ALWAYS AS (to_timestamp((message ->> 'sent_at_ms')::bigint / 1000.0)) STORED,
    customer_id     text GENERATED ALWAYS AS (message ->> 'customer_id') STORED,
    customer_name   text GENERATED ALWAYS AS (message ->> 'customer_name') STORED,
    agent_id        text GENERATED ALWAYS AS (message ->> 'agent_id') STORED,
    agent_name      text GENERATED ALWAYS AS (message ->> 'agent_name') STORED,
    agent_type      text GENERATED ALWAYS AS (message ->> 'agent_type') STORED,
    sender_id       text GENERATED ALWAYS AS (message ->> 'sender_id') STORED,
    receiver_id     text GENERATED ALWAYS AS (message ->> 'receiver_id') STORED,
    text            text GENERATED ALWAYS AS (message ->> 'text') STORED,
    delivery_status text GENERATED ALWAYS AS (message ->> 'delivery_status') STORED,
    PRIMARY KEY (chat_id, message_id)
);
ALTER TABLE kommo_messages ADD COLUMN IF NOT EXISTS deleted boolean NOT NULL DEFAULT false; -- a table from before
CREATE INDEX IF NOT EXISTS kommo_messages_sent_at ON kommo_messages (sent_at);
CREATE INDEX IF NOT EXISTS kommo_messages_talk_id ON kommo_messages (talk_id, message_id); -- by which a deletion finds its row
CREATE INDEX IF NOT EXISTS kommo_messages_customer_id ON kommo_messages (customer_id, sent_at);

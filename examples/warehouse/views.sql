-- psql "$POSTGRES_DSN" -v ON_ERROR_STOP=1 -f examples/warehouse/views.sql
-- Questions that the messages answer: see README.md. It may be run again at any time, and leaves the settings as they are.
BEGIN;
SET LOCAL client_min_messages TO warning;

-- The settings: one row.
CREATE TABLE IF NOT EXISTS kommo_settings (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- In which days begin and working hours are meant.
    time_zone text NOT NULL DEFAULT 'UTC' CHECK (timezone(time_zone, to_timestamp(0)) IS NOT NULL),
    -- After this long without a message a chat's next one begins a new conversation, if it is the customer's: an answer may take longer.
    silence   interval NOT NULL DEFAULT '24 hours' CHECK (silence > '0')
);
INSERT INTO kommo_settings DEFAULT VALUES ON CONFLICT DO NOTHING;

-- A day may have several rows. Hours over midnight are two: until 24:00, and from 00:00 of the next day.
CREATE TABLE IF NOT EXISTS kommo_working_hours (
    weekday smallint CHECK (weekday BETWEEN 1 AND 7), -- 1 is Monday
    opens   time,
    closes  time NOT NULL CHECK (closes > opens),
    PRIMARY KEY (weekday, opens)
);
INSERT INTO kommo_working_hours
SELECT weekday, '09:00', '18:00' FROM generate_series(1, 5) AS weekday WHERE NOT EXISTS (SELECT FROM kommo_working_hours);

-- Days without working hours.
CREATE TABLE IF NOT EXISTS kommo_holidays (day date PRIMARY KEY);

-- Compiling a query takes far longer than this takes to run: jit is off.
CREATE OR REPLACE FUNCTION kommo_is_working_time(moment timestamptz) RETURNS boolean LANGUAGE sql STABLE STRICT SET jit = off AS $$
    SELECT EXISTS (
        SELECT FROM kommo_settings, timezone(time_zone, moment) AS here, kommo_working_hours
        WHERE weekday = extract(isodow FROM here) AND here::time >= opens AND here::time < closes
            AND NOT EXISTS (SELECT FROM kommo_holidays WHERE day = here::date)
    )
$$;

-- How much of the time between two moments is working time.
CREATE OR REPLACE FUNCTION kommo_working_seconds(since timestamptz, until timestamptz) RETURNS double precision LANGUAGE sql STABLE STRICT SET jit = off AS $$
    SELECT coalesce(sum(extract(epoch FROM least(until, closing) - greatest(since, opening))), 0)
    FROM kommo_settings,
        generate_series(timezone(time_zone, since)::date::timestamp, timezone(time_zone, until), '1 day') AS midnight
        JOIN kommo_working_hours ON weekday = extract(isodow FROM midnight),
        timezone(time_zone, midnight + opens) AS opening, timezone(time_zone, midnight + closes) AS closing
    WHERE least(until, closing) > greatest(since, opening) AND NOT EXISTS (SELECT FROM kommo_holidays WHERE day = midnight::date)
$$;

-- Each message with who wrote it and the number of its conversation in its chat. The CRM API's times may be of whole seconds: of the same
-- second, a question is before what may be its answer.
CREATE OR REPLACE VIEW kommo_conversation_messages AS
SELECT chat_id, conversation, message_id, talk_id, entity_id, channel, sent_at, author, customer_id, customer_name, agent_id, agent_name,
    -- How many messages of the conversation are before it: the customer's, those of persons, and those of persons and bots.
    count(*) FILTER (WHERE author = 'customer') OVER earlier AS questions,
    count(*) FILTER (WHERE author = 'person') OVER earlier AS persons,
    count(*) FILTER (WHERE author <> 'customer') OVER earlier AS answers
FROM (
    SELECT *, sum(begins::int) OVER (PARTITION BY chat_id ORDER BY sent_at, direction, message_id) AS conversation
    FROM (
        SELECT kommo_messages.*, coalesce(origin, scope_id, 'unknown') AS channel,
            CASE WHEN direction = 'incoming' THEN 'customer' WHEN agent_type = 'bot' THEN 'bot' ELSE 'person' END AS author,
            direction = 'incoming' AND sent_at - previous_at > silence OR previous_at IS NULL AS begins
        FROM (
            SELECT *, lag(sent_at) OVER (PARTITION BY chat_id ORDER BY sent_at, direction, message_id) AS previous_at
            FROM kommo_messages
            WHERE direction IN ('incoming', 'outgoing') AND sent_at IS NOT NULL AND NOT deleted
        ) AS kommo_messages, kommo_settings
    ) AS messages
) AS numbered
WINDOW earlier AS (PARTITION BY chat_id, conversation ORDER BY sent_at, direction, message_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);

-- One row for each conversation.
CREATE OR REPLACE VIEW kommo_conversations AS
SELECT chat_id, conversation, max(talk_id) AS talk_id, max(entity_id) AS entity_id, max(channel) AS channel, max(customer_id) AS customer_id,
    min(sent_at) AS started_at, max(sent_at) AS ended_at,
    count(*) FILTER (WHERE author = 'customer') AS customer_messages,
    count(*) FILTER (WHERE author = 'person') AS person_messages,
    count(*) FILTER (WHERE author = 'bot') AS bot_messages,
    min(sent_at) FILTER (WHERE author = 'customer') AS asked_at,
    min(sent_at) FILTER (WHERE author = 'person' AND questions > 0) AS person_replied_at,
    min(sent_at) FILTER (WHERE author = 'bot' AND questions > 0) AS bot_replied_at
FROM kommo_conversation_messages
GROUP BY chat_id, conversation;

-- One row for each reply: a message of a person or a bot that answers what the customer has written. A person's reply answers all since the
-- last message of a person, whatever a bot has said meanwhile. A bot's answers what nobody has answered yet.
CREATE OR REPLACE VIEW kommo_replies AS
SELECT *,
    kommo_is_working_time(asked_at) AS in_working_hours,
    extract(epoch FROM replied_at - asked_at)::double precision AS reply_seconds,
    kommo_working_seconds(asked_at, replied_at) AS working_seconds
FROM (
    SELECT chat_id, conversation, max(talk_id) AS talk_id, max(entity_id) AS entity_id, max(channel) AS channel, max(customer_id) AS customer_id,
        responder,
        max(agent_id) FILTER (WHERE author = responder) AS agent_id,
        max(agent_name) FILTER (WHERE author = responder) AS agent_name,
        min(sent_at) FILTER (WHERE author = 'customer') AS asked_at,
        min(sent_at) FILTER (WHERE author = responder) AS replied_at,
        row_number() OVER (PARTITION BY responder, chat_id, conversation ORDER BY turn) = 1 AS first_reply
    FROM kommo_conversation_messages,
        LATERAL (VALUES ('person', persons), ('bot', answers)) AS waits (responder, turn)
    GROUP BY chat_id, conversation, responder, turn
    HAVING bool_or(author = 'customer') AND bool_or(author = responder)
) AS replies;

-- How fast replies are, by who replied, channel, and whether the customer wrote inside working hours.
CREATE OR REPLACE VIEW kommo_reply_times AS
SELECT responder, channel, agent_id, (array_agg(agent_name ORDER BY replied_at DESC))[1] AS agent_name, in_working_hours,
    count(*) AS replies,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY reply_seconds) AS median_seconds,
    percentile_cont(0.9) WITHIN GROUP (ORDER BY reply_seconds) AS p90_seconds,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY working_seconds) AS median_working_seconds,
    count(*) FILTER (WHERE first_reply) AS first_replies,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY reply_seconds) FILTER (WHERE first_reply) AS median_first_seconds
FROM kommo_replies
GROUP BY responder, channel, agent_id, in_working_hours;

-- Chats in which the customer has written since a person last did, and since when: in the newest conversation where that is so.
CREATE OR REPLACE VIEW kommo_waiting AS
SELECT DISTINCT ON (chat_id) chat_id, conversation, talk_id, entity_id, channel, customer_id, customer_name,
    waiting_since, last_message_at, messages, bot_replied, last_agent_id, last_agent_name,
    extract(epoch FROM now() - waiting_since)::double precision AS waiting_seconds
FROM (
    SELECT chat_id, conversation, max(talk_id) AS talk_id, max(entity_id) AS entity_id, max(channel) AS channel,
        max(customer_id) AS customer_id, max(customer_name) FILTER (WHERE author = 'customer') AS customer_name,
        min(sent_at) FILTER (WHERE author = 'customer') AS waiting_since,
        max(sent_at) FILTER (WHERE author = 'customer') AS last_message_at,
        count(*) FILTER (WHERE author = 'customer') AS messages,
        coalesce(max(sent_at) FILTER (WHERE author = 'bot') >= min(sent_at) FILTER (WHERE author = 'customer'), false) AS bot_replied
    FROM (
        SELECT *, max(sent_at) FILTER (WHERE author = 'person') OVER (PARTITION BY chat_id) AS person_at FROM kommo_conversation_messages
    ) AS messages
    WHERE (sent_at > person_at) IS NOT FALSE
    GROUP BY chat_id, conversation
) AS unanswered
LEFT JOIN LATERAL (
    SELECT agent_id AS last_agent_id, agent_name AS last_agent_name
    FROM kommo_messages
    WHERE kommo_messages.chat_id = unanswered.chat_id
        AND direction = 'outgoing' AND agent_type IS DISTINCT FROM 'bot' AND NOT deleted
    ORDER BY sent_at DESC LIMIT 1
) AS last_agent ON true
WHERE waiting_since IS NOT NULL
ORDER BY chat_id, conversation DESC;

-- How much was written each day, by customers, persons and bots.
CREATE OR REPLACE VIEW kommo_daily_messages AS
SELECT timezone(time_zone, sent_at)::date AS day, channel, author, count(*) AS messages, count(DISTINCT chat_id) AS chats
FROM kommo_conversation_messages, kommo_settings
GROUP BY 1, 2, 3;

CREATE INDEX IF NOT EXISTS kommo_messages_chat ON kommo_messages (chat_id, sent_at);

COMMIT;

-- +goose Up
CREATE TABLE partnersync.outbox (
    event_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  uuid        NOT NULL,
    endpoint    text        COLLATE "C" NOT NULL,
    subject     text        COLLATE "C" NOT NULL,
    type        text        NOT NULL,
    data        jsonb       NOT NULL,
    created_at  timestamptz NOT NULL,
    delivery_id uuid,
    next_at     timestamptz NOT NULL,
    attempts    integer     NOT NULL DEFAULT 0
);
-- Who is next at an endpoint, what of the same subject comes first, and what is sent together.
CREATE INDEX outbox_by_next_at ON partnersync.outbox (endpoint, next_at);
CREATE INDEX outbox_by_subject ON partnersync.outbox (endpoint, subject, event_id);
CREATE INDEX outbox_by_delivery_id ON partnersync.outbox (delivery_id, event_id) WHERE delivery_id IS NOT NULL;
COMMENT ON TABLE partnersync.outbox IS
    'Notifications that are still to be sent, one row for each event and endpoint, written in the transaction that they tell of.';
COMMENT ON COLUMN partnersync.outbox.event_id IS 'Orders the events of a subject.';
COMMENT ON COLUMN partnersync.outbox.message_id IS 'The id that the receiver sees, the same at each attempt and each endpoint.';
COMMENT ON COLUMN partnersync.outbox.endpoint IS 'The name of the entry under notify in the configuration.';
COMMENT ON COLUMN partnersync.outbox.subject IS 'What the event is about: an event is not sent before earlier ones of its subject are done.';
COMMENT ON COLUMN partnersync.outbox.type IS 'Such as batch.finished.';
COMMENT ON COLUMN partnersync.outbox.data IS 'What the event says.';
COMMENT ON COLUMN partnersync.outbox.created_at IS 'When the event was noted; it is given up a day later.';
COMMENT ON COLUMN partnersync.outbox.delivery_id IS 'What was gathered into one delivery has the same: it is sent together, and again until all is received. Null where each event is sent alone, and until then.';
COMMENT ON COLUMN partnersync.outbox.next_at IS 'When the next attempt may begin. A worker that begins one moves it on for as long as nobody else is to.';
COMMENT ON COLUMN partnersync.outbox.attempts IS 'Attempts begun.';

CREATE TABLE partnersync.notified (
    endpoint text        COLLATE "C" NOT NULL,
    type     text        COLLATE "C" NOT NULL,
    subject  text        COLLATE "C" NOT NULL,
    since    timestamptz NOT NULL,
    PRIMARY KEY (endpoint, type, subject)
);
COMMENT ON TABLE partnersync.notified IS
    'States that an endpoint has been told of and that last, so that it is told once: a stuck batch, a failing customer, a refused sign-in.';
COMMENT ON COLUMN partnersync.notified.endpoint IS 'As in outbox.';
COMMENT ON COLUMN partnersync.notified.type IS 'The event that told of it.';
COMMENT ON COLUMN partnersync.notified.subject IS 'As in outbox.';
COMMENT ON COLUMN partnersync.notified.since IS 'When the state began.';

-- +goose Down
DROP TABLE partnersync.notified;
DROP TABLE partnersync.outbox;

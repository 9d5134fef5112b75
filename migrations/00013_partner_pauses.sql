-- +goose Up
-- A table of its own: a pause must wait for no transaction that has locked the partner's state.
CREATE TABLE partnersync.partner_pauses (
    partner      text        COLLATE "C" PRIMARY KEY,
    paused_until timestamptz NOT NULL
);
COMMENT ON TABLE partnersync.partner_pauses IS 'Until when each partner''s API has asked all replicas to wait.';
COMMENT ON COLUMN partnersync.partner_pauses.partner IS 'The partner''s name in the configuration.';
COMMENT ON COLUMN partnersync.partner_pauses.paused_until IS 'Until when the API asked the partner to wait (429).';

-- +goose Down
DROP TABLE partnersync.partner_pauses;

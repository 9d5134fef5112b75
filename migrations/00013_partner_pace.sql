-- +goose Up
-- A table of its own: it is written every second or so, and must wait for no transaction that has locked the partner's state.
CREATE TABLE partnersync.partner_pace (
    partner        text COLLATE "C" PRIMARY KEY,
    reserved_until timestamptz,
    paused_until   timestamptz
);
COMMENT ON TABLE partnersync.partner_pace IS 'How the replicas share each partner''s rate of requests, and its pauses.';
COMMENT ON COLUMN partnersync.partner_pace.partner IS 'The partner''s name in the configuration.';
COMMENT ON COLUMN partnersync.partner_pace.reserved_until IS 'Up to where the rate''s places are taken: the next block of requests begins there, or now if that is later.';
COMMENT ON COLUMN partnersync.partner_pace.paused_until IS 'Until when the API asked the partner to wait (429).';

-- +goose Down
DROP TABLE partnersync.partner_pace;

-- The schema partnersync exists already: goose's own tables live in it (see migrations.go).

-- +goose Up
CREATE SCHEMA partner_center;
COMMENT ON SCHEMA partner_center IS
    'What the Partner Center API says of a partner''s customers, their device batches, the devices in these and their configuration policies, with every earlier version. For analysts; written by partnersync alone. All times are timestamptz.';
COMMENT ON SCHEMA partnersync IS
    'Machinery of partnersync: claims, runs, states of lists. Not for analysts: its layout may change with any release.';

-- +goose Down
DROP SCHEMA partner_center;
COMMENT ON SCHEMA partnersync IS NULL;

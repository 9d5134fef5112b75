-- The schema partnersync exists already: goose's own tables live in it (see migrations.go).

-- +goose Up
CREATE SCHEMA partner_center;
COMMENT ON SCHEMA partner_center IS
    'What the Partner Center API says of a partner''s customers, their device batches, the devices in these and their configuration policies, with every earlier version. For analysts; written by partnersync alone. All times are timestamptz. There are no foreign keys, since checking each row against its customer and batch would make an insert take 2.7 times as long; each batch is of a row of customers all the same, and each device of a row of device_batches.';
COMMENT ON SCHEMA partnersync IS
    'Machinery of partnersync: claims, runs, states of lists. Not for analysts: its layout may change with any release.';

-- +goose Down
DROP SCHEMA partner_center;
COMMENT ON SCHEMA partnersync IS NULL;

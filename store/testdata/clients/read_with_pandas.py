import pandas
import psycopg

with psycopg.connect() as connection:
    rows = connection.execute(
        "SELECT status, valid_from, valid_to, is_current FROM partner_center.device_batch_history ORDER BY valid_from")
    history = pandas.DataFrame(rows.fetchall(), columns=[column.name for column in rows.description])
# A column of objects could not be computed with.
history["valid_for"] = history["valid_to"] - history["valid_from"]
assert history["valid_to"].dtype.kind == "M" and history["valid_for"].dtype.kind == "m", history.dtypes
for row in history.itertuples():
    ends = "null" if pandas.isna(row.valid_to) else int(row.valid_to.timestamp())
    print(row.status, int(row.valid_from.timestamp()), ends, str(row.is_current).lower())

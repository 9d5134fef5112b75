// The driver that is named on the command line: pg or postgres.
const query = 'SELECT status, valid_from, valid_to, is_current FROM partner_center.device_batch_history ORDER BY valid_from'
const seconds = (date) => date === null ? 'null' : Math.floor(date.getTime() / 1000)
const print = (rows) => rows.forEach(r => console.log(r.status, seconds(r.valid_from), seconds(r.valid_to), r.is_current))

async function main(driver) {
  if (driver === 'pg') {
    const client = new (require('pg').Client)()
    await client.connect()
    print((await client.query(query)).rows)
    await client.end()
  } else {
    const sql = require('postgres')()
    print(await sql.unsafe(query))
    await sql.end()
  }
}

main(process.argv[2]).catch(err => { console.error(err); process.exit(1) })

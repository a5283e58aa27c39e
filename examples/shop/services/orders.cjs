// orders: Node with the SkyWalking agent. Asks `stock`, then writes the order into MariaDB.
const { default: agent } = require('skywalking-backend-js')
agent.start({
  serviceName: 'orders',
  serviceInstance: 'orders-1',
  collectorAddress: process.env.SW_COLLECTOR,
})

const http = require('node:http')
const mysql = require('mysql2')

const pool = mysql.createPool({
  host: process.env.DB_HOST,
  user: 'shop',
  password: 'shop',
  database: 'shop',
  connectionLimit: 8,
})

http
  .createServer((request, response) => {
    const item = new URL(request.url, 'http://orders').searchParams.get('item') ?? 'tea'
    askStock(item, (failure, stock) => {
      if (failure) return fail(response, failure)
      pool.query(`INSERT INTO orders (item, quantity) VALUES ('${item}', 1)`, (error, result) => {
        if (error) return fail(response, error)
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ order: result.insertId, stock }))
      })
    })
  })
  .listen(8082, '0.0.0.0')

/** http.request, not http.get: the agent traces only the former. */
function askStock(item, done) {
  const outgoing = http.request(
    { host: process.env.STOCK_HOST, port: 8083, path: `/stock/${item}`, agent: false },
    response => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', text => (body += text))
      response.on('end', () => done(response.statusCode === 200 ? null : new Error(body), body.trim()))
    },
  )
  outgoing.on('error', error => done(error))
  outgoing.end()
}

function fail(response, error) {
  response.writeHead(502).end(String(error))
}

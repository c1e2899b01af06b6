// SPDX-License-Identifier: Apache-2.0
// A CoAP device made with the npm package "coap": takes commands as lines of JSON and tells what happened likewise.
//   {"op":"ask","id":1,"method":"POST","path":"/t","query":"id=7","body":"…","blocks":true}   
//     -> {"id":1,"code":"2.04","location":"id=7","body":"…"}
//   {"op":"observe","path":"/c"}                                               -> {"notified":"…","location":"id=7"} for each
//   {"op":"serve"}                                                             -> {"serving":PORT}, {"pushed":"…","query":"/cmd?id=7"}
'use strict';
const coap = require('coap');
const crypto = require('crypto');
const readline = require('readline');

const port = Number(process.argv[2]);
// One socket for everything that this device asks, as a device has.
const agent = new coap.Agent({ type: 'udp4', port: 0 });
// The agent would close its socket, and take another port, whenever nothing is asked.
agent._requests = 1;
// Long bodies by their digest, so that what is told can be read.
const text = (body) => body.length <= 200 ? body.toString()
  : 'sha256:' + crypto.createHash('sha256').update(body).digest('hex');
const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');

function ask(url, body, blocks) {
  const request = coap.request({ agent, host: '127.0.0.1', port, retrySend: { maxRetransmit: 10 }, ...url });
  request.on('error', (error) => tell({ error: String(error) }));
  request.on('timeout', (error) => tell({ error: String(error) }));
  if (blocks) request.setOption('Block1', Buffer.from([6]));
  request.end(body === undefined ? undefined : Buffer.from(body));
  return request;
}

const does = {
  ask(command) {
    ask({ method: command.method, pathname: command.path, query: command.query }, command.body, command.blocks).on(
      'response', (answer) => tell({
        id: command.id, code: answer.code, location: answer.headers['Location-Query'], body: text(answer.payload),
      }));
  },
  observe(command) {
    ask({ method: 'GET', pathname: command.path, observe: true }).on('response', (answer) => {
      tell({ observing: answer.code });
      answer.on('data', (data) => tell({ notified: text(data), location: answer.headers['Location-Query'] }));
    });
  },
  serve() {
    const server = coap.createServer({ type: 'udp4' }, (request, response) => {
      tell({ pushed: text(request.payload), query: request.url });
      response.code = '2.04';
      response.end();
    });
    server.listen(0, '127.0.0.1', () => tell({ serving: server._sock.address().port }));
  },
};

readline.createInterface({ input: process.stdin })
  .on('line', (line) => { const command = JSON.parse(line); does[command.op](command); })
  .on('close', () => process.exit(0));

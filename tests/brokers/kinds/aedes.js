// aedes.js PORT: the broker `aedes` of npm, everything in memory. NODE_PATH leads to it.
const { Aedes } = require("aedes");

Aedes.createBroker().then((broker) =>
  require("net").createServer(broker.handle).listen(Number(process.argv[2]), "127.0.0.1")
);

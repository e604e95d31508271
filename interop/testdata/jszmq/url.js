// What jszmq asks of node's module "url", in a browser.
module.exports = { URL }

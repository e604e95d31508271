const { start } = require('./agent')
const base = location.origin.replace(/^http/, 'ws')
start(base, new URLSearchParams(location.search).get('elsewhere'))

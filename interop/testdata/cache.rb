# A cache client in Ruby (Dalli), driven by lines of JSON; cache.py tells the
# protocol.
#
# usage: cache.rb SERVER...
#
# It logs in as CACHE_USER with CACHE_PASSWORD if there are such.

require 'base64'
require 'dalli'
require 'json'

# Dalli writes all of a batch before it reads a reply, and a unix socket holds
# few small writes: a large batch can leave it and the server waiting for each
# other.
BATCH = 50

$stdout.sync = true
Dalli.logger.level = Logger::ERROR
client = Dalli::Client.new(ARGV, compress: false, socket_timeout: 60,
                            username: ENV['CACHE_USER'], password: ENV['CACHE_PASSWORD'])
compressing = Dalli::Client.new(ARGV, compress: true, compression_min_size: 1, socket_timeout: 60)
tokens = {}
raw = { raw: true } # bytes as they are, no Marshal

# A store answers its cas number: false and 0 are refusals.
stored = ->(cas) { cas ? cas != 0 : false }

decode = ->(v) { Base64.decode64(v['bytes'] || '') }
encode = ->(v) { v.nil? ? nil : { type: 'bytes', bytes: Base64.strict_encode64(v.to_s) } }

answer = lambda do |r|
  key = r['key']
  ttl = r['ttl'].zero? ? nil : r['ttl']
  case r['op']
  when 'set', 'add', 'replace'
    { ok: stored[client.public_send(r['op'], key, decode[r['value']], ttl, raw)] }
  when 'set_object' # as Dalli stores what is not asked to be raw
    { ok: stored[client.set(key, decode[r['value']], ttl)] }
  when 'set_compressed'
    { ok: stored[compressing.set(key, decode[r['value']], ttl, raw)] }
  when 'append', 'prepend'
    { ok: client.public_send(r['op'], key, decode[r['value']]) ? true : false }
  when 'get'
    { value: encode[client.get(key)] }
  when 'gets'
    value, tokens[key] = client.get_cas(key)
    { value: encode[value] }
  when 'cas'
    { ok: stored[client.set_cas(key, decode[r['value']], tokens[key], ttl, raw)] }
  when 'delete'
    { ok: client.delete(key) ? true : false }
  when 'touch'
    { ok: client.touch(key, r['ttl']) ? true : false }
  when 'incr', 'decr'
    n = client.public_send(r['op'], key, r['delta'])
    { ok: !n.nil?, number: n || 0 }
  when 'get_multi'
    values = {}
    r['keys'].each_slice(BATCH) { |keys| values.merge!(client.get_multi(keys)) }
    { values: values.transform_values(&encode) }
  when 'set_multi'
    r['values'].each_slice(BATCH) do |values|
      client.multi { values.each { |k, v| client.set(k, decode[v], ttl, raw) } }
    end
    { ok: true }
  when 'delete_multi'
    r['keys'].each_slice(BATCH) do |keys|
      client.multi { keys.each { |k| client.delete(k) } }
    end
    { ok: true }
  when 'flush'
    client.flush
    { ok: true }
  when 'stats'
    { stats: client.stats.values.first.transform_values(&:to_s) }
  else
    { error: "unknown operation #{r['op']}" }
  end
end

puts 'ready'
$stdin.each_line do |line|
  reply =
    begin
      answer[JSON.parse(line)]
    rescue StandardError => e
      { error: "#{e.class}: #{e.message}" }
    end
  puts JSON.generate(reply)
end

# Where Dalli places keys, without a server: one line of JSON in (fleets of
# [host, port, weight], port 0 for a unix socket, and keys), one line out (for
# each fleet and number of dead servers at its head the index of each key's
# server, -1 for none).
require 'json'
require 'dalli'

job = JSON.parse($stdin.readline)
$dead = []
[Dalli::Protocol::Binary].each do |server|
  server.class_eval { def alive? = !$dead.include?(name) }
end
out = []
job['fleets'].each_with_index do |fleet, n|
  names = fleet.map { |host, port, _| port.zero? ? host : "#{host}:#{port}" }
  specs = fleet.map { |host, port, weight| (port.zero? ? host : "#{host}:#{port}") + ":#{weight}" }
  (0...[3, fleet.size].min).each do |dead|
    $dead = names.first(dead)
    ring = Dalli::Client.new(specs, failover: true).send(:ring)
    owners = job['keys'].map do |key|
      names.index(ring.server_for_key(key).name)
    rescue Dalli::RingError
      -1
    end
    out << { placement: 'dalli', fleet: n, dead: dead, owners: owners }
  end
end
puts JSON.generate(out)

package collector

import "github.com/prometheus/client_golang/prometheus"

// metric is what one line of stats becomes.
type metric struct {
	stat   string   // name of the line
	minus  []string // lines whose values are subtracted
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	labels []string // values of the labels, those of slab excepted
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("memcached_"+name, help, labels, nil)
}

// line returns the metric of a line without labels.
func line(stat, name string, kind prometheus.ValueType, help string) metric {
	return metric{stat: stat, desc: desc(name, help), kind: kind}
}

// slab returns the metric of a line that exists for each size class.
func slab(stat, name string, kind prometheus.ValueType, help string) metric {
	return metric{stat: stat, desc: desc("slab_"+name, help, "slab"), kind: kind}
}

var (
	up       = desc("up", "Always 1: the server itself answers. A server that is down has no series; alert on up, which Prometheus makes.")
	version  = desc("version", "Always 1. The label is the version of memcached whose behaviour the server has.", "version")
	duration = desc("command_duration_seconds", "Time from the start of a command's execution to its reply being ready to be sent. Each command counts.", "command")

	commands     = desc("commands_total", "Commands by kind and result. A get of several keys counts each key. Cas commands are not part of set.", "command", "status")
	slabCommands = desc("slab_commands_total", "Commands that found an item, by the size class of the item. A cas that missed counts as set, as in the exporter.", "slab", "command", "status")
	lruHits      = desc("slab_lru_hits_total", "Hits of get. All are shown as warm: there is one queue order for all items.", "slab", "lru")
)

// command returns the metric of commands of a kind and result.
func command(stat, kind, status string, minus ...string) metric {
	return metric{stat, minus, commands, counter, []string{kind, status}}
}

// slabCommand is command for each size class.
func slabCommand(stat, kind, status string, minus ...string) metric {
	return metric{stat, minus, slabCommands, counter, []string{kind, status}}
}

// general are the metrics of stats, and of total_malloced of stats slabs.
var general = []metric{
	command("get_hits", "get", "hit"),
	command("get_misses", "get", "miss"),
	command("delete_hits", "delete", "hit"),
	command("delete_misses", "delete", "miss"),
	command("incr_hits", "incr", "hit"),
	command("incr_misses", "incr", "miss"),
	command("decr_hits", "decr", "hit"),
	command("decr_misses", "decr", "miss"),
	command("cas_hits", "cas", "hit"),
	command("cas_misses", "cas", "miss"),
	command("cas_badval", "cas", "badval"),
	command("touch_hits", "touch", "hit"),
	command("touch_misses", "touch", "miss"),
	command("cmd_flush", "flush", "hit"),
	command("cmd_set", "set", "hit", "cas_hits", "cas_misses", "cas_badval"),

	line("uptime", "uptime_seconds", counter, "Seconds since the start of the server."),
	line("time", "time_seconds", gauge, "Time of the server's clock, in Unix seconds."),
	line("rusage_user", "process_user_cpu_seconds_total", counter, "CPU time of the process in user mode, in seconds."),
	line("rusage_system", "process_system_cpu_seconds_total", counter, "CPU time of the process in the kernel, in seconds."),
	line("bytes_read", "read_bytes_total", counter, "Bytes received from clients."),
	line("bytes_written", "written_bytes_total", counter, "Bytes sent to clients."),
	line("curr_connections", "current_connections", gauge, "Open connections, and listeners but one, as memcached counts."),
	line("total_connections", "connections_total", counter, "Connections accepted, and listeners."),
	line("rejected_connections", "connections_rejected_total", counter, "Connections refused because -c are open."),
	line("conn_yields", "connections_yielded_total", counter, "Times that a connection waited because it had sent -R commands at once."),
	line("listen_disabled_num", "connections_listener_disabled_total", counter, "Times that accepting stopped because -c connections were open."),
	line("accepting_conns", "accepting_connections", gauge, "1 if the server accepts connections, else 0."),
	line("bytes", "current_bytes", gauge, "Bytes of the items stored, with memcached's overhead for each."),
	line("limit_maxbytes", "limit_bytes", gauge, "Bytes that items may use: -m, or what cache_memlimit has set."),
	line("total_malloced", "malloced_bytes", gauge, "Bytes of the slab pages that memcached would need for the items."),
	line("curr_items", "current_items", gauge, "Items stored."),
	line("total_items", "items_total", counter, "Items stored since the start."),
	line("evictions", "items_evicted_total", counter, "Items removed for lack of memory before they expired."),
	line("reclaimed", "items_reclaimed_total", counter, "Expired items whose memory was reclaimed."),
	line("store_too_large", "item_too_large_total", counter, "Items refused because they exceed -I."),
	line("store_no_memory", "item_no_memory_total", counter, "Items refused for lack of memory."),
	line("direct_reclaims", "direct_reclaims_total", counter, "Always 0: each thread evicts for itself, there is no maintainer that could be late."),
	line("lru_crawler_starts", "lru_crawler_starts_total", counter, "Times that the crawler was started."),
	line("crawler_reclaimed", "lru_crawler_reclaimed_total", counter, "Expired items removed by the crawler."),
	line("crawler_items_checked", "lru_crawler_items_checked_total", counter, "Items that the crawler has looked at."),
	line("moves_to_cold", "lru_crawler_moves_to_cold_total", counter, "Always 0: S3-FIFO has no cold queue."),
	line("moves_to_warm", "lru_crawler_moves_to_warm_total", counter, "Items moved from the small to the main queue of S3-FIFO."),
	line("moves_within_lru", "lru_crawler_moves_within_lru_total", counter, "Items reinserted into the main queue of S3-FIFO because they had been read."),

	// What the exporter does not know.
	line("connection_structures", "connection_structures", gauge, "The most connections that were open at once."),
	line("cmd_meta", "cmd_meta_total", counter, "Commands of the meta protocol."),
	line("get_expired", "get_expired_total", counter, "Misses of get because the item had expired."),
	line("get_flushed", "get_flushed_total", counter, "Misses of get because the item had been flushed."),
	line("auth_cmds", "auth_cmds_total", counter, "Logins, successful or not."),
	line("auth_errors", "auth_errors_total", counter, "Failed logins."),
	line("idle_kicks", "idle_kicks_total", counter, "Connections closed by -o idle_timeout."),
	line("time_in_listen_disabled_us", "time_in_listen_disabled_us_total", counter, "Microseconds in which accepting was stopped because -c connections were open."),
	line("read_buf_bytes", "read_buf_bytes", gauge, "Bytes reserved for values that are arriving."),
	line("read_buf_oom", "read_buf_oom_total", counter, "Values refused because -o read_buf_mem_limit was reached."),
	line("response_obj_oom", "response_obj_oom_total", counter, "Replies refused because -o read_buf_mem_limit was reached."),
	line("threads", "threads", gauge, "Event loops."),
	line("hash_power_level", "hash_power_level", gauge, "Binary logarithm of the hash table that memcached would have."),
	line("hash_bytes", "hash_bytes", gauge, "Bytes of the index."),
	line("lru_crawler_running", "lru_crawler_running", gauge, "1 while the crawler or a dump runs, else 0."),
	line("malloc_fails", "malloc_fails_total", counter, "Items refused for lack of memory, of all kinds of command."),
	line("log_worker_dropped", "log_worker_dropped_total", counter, "Log lines of watch that were dropped before they were formatted."),
	line("log_worker_written", "log_worker_written_total", counter, "Log lines of watch that were formatted."),
	line("log_watcher_skipped", "log_watcher_skipped_total", counter, "Log lines not sent to a watcher that was too slow."),
	line("log_watcher_sent", "log_watcher_sent_total", counter, "Log lines sent to watchers."),
	line("log_watchers", "log_watchers", gauge, "Connections that watch."),
	line("ssl_handshake_errors", "ssl_handshake_errors_total", counter, "TLS handshakes that failed."),
	line("time_since_server_cert_refresh", "time_since_server_cert_refresh", gauge, "Seconds since the certificates were read."),
	line("expired_unfetched", "expired_unfetched_total", counter, "Items that expired without having been read."),
	line("evicted_unfetched", "evicted_unfetched_total", counter, "Items evicted without having been read."),
	line("evicted_active", "evicted_active_total", counter, "Items evicted although they had been read recently."),
	line("memory_file_damaged_items", "memory_file_damaged_items_total", counter, "Records of the file of -e whose checksum was wrong."),
	line("feed_lanes", "feed_lanes", gauge, "Lanes in which the changes for near caches are numbered."),
	line("feed_subscribers", "feed_subscribers", gauge, "Near caches that are connected."),
	line("feed_published", "feed_published_total", counter, "Changes sent to near caches. Each counts once."),
	line("feed_lost", "feed_lost_total", counter, "Changes not sent to near caches because more came than could be sent."),
	line("memory_file_no_space", "memory_file_no_space_total", counter, "Times that the file system of -e was full."),
}

// constant are the lines of stats that are no metrics: they are no numbers, do not change while the server runs, or belong to
// parts of memcached that it does not have and are always 0.
var constant = []string{
	"pid", "version", "libevent", "pointer_size", "max_connections", "response_obj_count", "response_obj_bytes",
	"read_buf_count", "read_buf_bytes_free", "reserved_fds", "hash_is_expanding", "slab_reassign_rescues",
	"slab_reassign_chunk_rescues", "slab_reassign_inline_reclaim", "slab_reassign_busy_items",
	"slab_reassign_busy_deletes", "slab_reassign_busy_nomem", "slab_reassign_last_busy_status", "slab_reassign_running",
	"slabs_moved", "lru_maintainer_juggles", "unexpected_napi_ids", "round_robin_fallback", "ssl_proto_errors",
	"slab_global_page_pool", "lrutail_reflocked", "lru_bumps_dropped",
	"cmd_get", "cmd_touch", // the sums of their hits and misses
}

// settings are the metrics of stats settings.
var settings = []metric{
	line("maxconns", "max_connections", gauge, "Connections allowed by -c."),
	line("lru_crawler", "lru_crawler_enabled", gauge, "1 if the crawler removes expired items, else 0."),
	line("lru_crawler_sleep", "lru_crawler_sleep", gauge, "Microseconds that the crawler pauses between steps."),
	line("lru_crawler_tocrawl", "lru_crawler_to_crawl", gauge, "As set; without effect."),
	line("lru_maintainer_thread", "lru_crawler_maintainer_thread", gauge, "As set; without effect, S3-FIFO needs no maintainer."),
	line("hot_lru_pct", "lru_crawler_hot_percent", gauge, "As set; without effect, the small queue has 10 %."),
	line("warm_lru_pct", "lru_crawler_warm_percent", gauge, "As set; without effect."),
	line("hot_max_factor", "lru_crawler_hot_max_factor", gauge, "As set; without effect."),
	line("warm_max_factor", "lru_crawler_warm_max_factor", gauge, "As set; without effect."),
}

// classItems are the metrics of stats items.
var classItems = []metric{
	slab("number", "current_items", gauge, "Items stored, by size class."),
	slab("age", "items_age_seconds", gauge, "Seconds since the oldest segment with items of the class was opened."),
	{"hits_to_hot", nil, lruHits, counter, []string{"hot"}},
	{"hits_to_warm", nil, lruHits, counter, []string{"warm"}},
	{"hits_to_cold", nil, lruHits, counter, []string{"cold"}},
	{"hits_to_temp", nil, lruHits, counter, []string{"temporary"}},
	slab("crawler_reclaimed", "items_crawler_reclaimed_total", counter, "Expired items removed by the crawler."),
	slab("evicted", "items_evicted_total", counter, "Items removed for lack of memory before they expired."),
	slab("evicted_nonzero", "items_evicted_nonzero_total", counter, "Items with an expiry time that were evicted before it."),
	slab("evicted_time", "items_evicted_time_seconds", counter, "Seconds since the last access of the item that was evicted last."),
	slab("evicted_unfetched", "items_evicted_unfetched_total", counter, "Items evicted without having been read."),
	slab("expired_unfetched", "items_expired_unfetched_total", counter, "Items that expired without having been read."),
	slab("outofmemory", "items_outofmemory_total", counter, "Items refused for lack of memory."),
	slab("reclaimed", "items_reclaimed_total", counter, "Expired items whose memory was reclaimed."),
	slab("tailrepairs", "items_tailrepairs_total", counter, "Always 0: there are no reference counts that could leak."),
	slab("mem_requested", "mem_requested_bytes", counter, "Bytes of the items stored, with memcached's overhead for each. It may decrease."),
	slab("moves_to_cold", "items_moves_to_cold", counter, "Always 0: S3-FIFO has no cold queue."),
	slab("moves_to_warm", "items_moves_to_warm", counter, "Always 0: moves are counted for all classes together."),
	slab("moves_within_lru", "items_moves_within_lru", counter, "Always 0: moves are counted for all classes together."),
	slab("number_hot", "hot_items", gauge, "Items in the small queue of S3-FIFO."),
	slab("number_warm", "warm_items", gauge, "Items in the main queue of S3-FIFO."),
	slab("number_cold", "cold_items", gauge, "Always 0: S3-FIFO has no cold queue."),
	slab("age_hot", "hot_age_seconds", gauge, "As slab_items_age_seconds."),
	slab("age_warm", "warm_age_seconds", gauge, "As slab_items_age_seconds."),
}

// classSlabs are the metrics of stats slabs.
var classSlabs = []metric{
	slabCommand("get_hits", "get", "hit"),
	slabCommand("delete_hits", "delete", "hit"),
	slabCommand("incr_hits", "incr", "hit"),
	slabCommand("decr_hits", "decr", "hit"),
	slabCommand("cas_hits", "cas", "hit"),
	slabCommand("touch_hits", "touch", "hit"),
	slabCommand("cas_badval", "cas", "badval"),
	slabCommand("cmd_set", "set", "hit", "cas_hits", "cas_badval"),
	slab("chunk_size", "chunk_size_bytes", gauge, "Largest item of the size class, in bytes."),
	slab("chunks_per_page", "chunks_per_page", gauge, "Items of the class in a page of memcached."),
	slab("total_pages", "current_pages", gauge, "Pages that memcached would need for the items of the class."),
	slab("total_chunks", "current_chunks", gauge, "Items that those pages have room for."),
	slab("used_chunks", "chunks_used", gauge, "Items of the class."),
	slab("free_chunks", "chunks_free", gauge, "Items that those pages have room for beyond the ones stored."),
	slab("free_chunks_end", "chunks_free_end", gauge, "Always 0: there are no pages."),
}

package store

// memcached's accounting. Clients and dashboards see it; nothing here is allocated
// by class.
const (
	itemHeader  = 48
	itemCAS     = 8
	itemFlags   = 4
	valueSuffix = 2 // memcached stores the line end with the value
)

// chunkSizes is memcached's default slab table (growth factor 1.25, 512 KiB largest chunk); class n is chunkSizes[n-1].
var chunkSizes = [...]int{
	96, 120, 152, 192, 240, 304, 384, 480, 600, 752, 944, 1184, 1480, 1856, 2320, 2904, 3632, 4544, 5680, 7104,
	8880, 11104, 13880, 17352, 21696, 27120, 33904, 42384, 52984, 66232, 82792, 103496, 129376, 161720, 202152,
	252696, 315872, 394840, 524288,
}

// Classes is the number of size classes; classes are numbered from 1 to Classes.
const Classes = len(chunkSizes)

// ItemSize returns the bytes that memcached counts for an item: header, key, flags
// unless they are 0, and value with a line end. Options.MaxItemSize bounds it, and
// Stats reports it. The memory used is less.
func ItemSize(nkey, nvalue int, flags uint32, cas bool) int {
	n := itemHeader + nkey + 1 + nvalue + valueSuffix
	if cas {
		n += itemCAS
	}
	if flags != 0 {
		n += itemFlags
	}
	return n
}

// ClassOf returns the number, from 1 to Classes, of the smallest class whose chunks
// hold size bytes as counted by ItemSize. Larger items are of the last class.
func ClassOf(size int) int {
	if i := (size + 7) >> 3; uint(i) < uint(len(smallClasses)) {
		return int(smallClasses[i])
	}
	return searchClass(size)
}

// smallClasses maps (size+7)/8 to the class of small items; all chunk sizes are multiples of 8.
var smallClasses = func() (tab [256]uint8) {
	for i := range tab {
		tab[i] = uint8(searchClass(8 * i))
	}
	return tab
}()

func searchClass(size int) int {
	lo, hi := 0, len(chunkSizes)-1
	for lo < hi {
		mid := (lo + hi) / 2
		if chunkSizes[mid] < size {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo + 1
}

// ChunkSize returns the size in bytes of the chunks of a class, 0 if there is no
// such class.
func ChunkSize(class int) int {
	if class < 1 || class > len(chunkSizes) {
		return 0
	}
	return chunkSizes[class-1]
}

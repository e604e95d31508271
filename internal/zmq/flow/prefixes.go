package flow

import (
	"slices"
	"sort"
)

// Prefixes maps topics to values and finds all topics that a key starts
// with. Topics of one length share a map, so a lookup costs one hash for each
// length in use that the key can reach, however many topics there are.
type Prefixes[V any] struct {
	levels []level[V] // by length
	count  int
}

type level[V any] struct {
	n    int
	m    map[string]V
	lone string // the topic, if there is just one: it needs no hash
}

// relook follows a change of the topics.
func (l *level[V]) relook() {
	l.lone = ""
	if len(l.m) == 1 {
		for l.lone = range l.m {
			break
		}
	}
}

// has reports whether topic is one of those of its length.
func (l *level[V]) has(topic []byte) bool {
	if len(l.m) == 1 {
		return string(topic) == l.lone
	}
	_, ok := l.m[string(topic)]
	return ok
}

// Len is the number of topics.
func (t *Prefixes[V]) Len() int { return t.count }

func (t *Prefixes[V]) find(n int) (i int, ok bool) {
	i = sort.Search(len(t.levels), func(i int) bool { return t.levels[i].n >= n })
	return i, i < len(t.levels) && t.levels[i].n == n
}

// Get returns the value of a topic.
func (t *Prefixes[V]) Get(topic []byte) (v V, ok bool) {
	if i, found := t.find(len(topic)); found {
		v, ok = t.levels[i].m[string(topic)]
	}
	return v, ok
}

// Put sets the value of a topic.
func (t *Prefixes[V]) Put(topic string, v V) {
	i, ok := t.find(len(topic))
	if !ok {
		t.levels = slices.Insert(t.levels, i, level[V]{n: len(topic), m: make(map[string]V)})
	}
	l := &t.levels[i]
	before := len(l.m)
	l.m[topic] = v
	if now := len(l.m); now != before {
		t.count += now - before
		if now <= 2 {
			l.relook()
		}
	}
}

// Delete forgets a topic.
func (t *Prefixes[V]) Delete(topic []byte) {
	i, ok := t.find(len(topic))
	if !ok {
		return
	}
	l := &t.levels[i]
	before := len(l.m)
	delete(l.m, string(topic))
	t.count -= before - len(l.m)
	switch len(l.m) {
	case 0:
		t.levels = slices.Delete(t.levels, i, i+1)
	case 1:
		l.relook()
	}
}

// Matches visits the values of the topics that key starts with, the shortest
// first, until yield says false.
func (t *Prefixes[V]) Matches(key []byte, yield func(V) bool) {
	for i := range t.levels {
		l := &t.levels[i]
		if l.n > len(key) {
			return
		}
		if v, ok := l.m[string(key[:l.n])]; ok && !yield(v) {
			return
		}
	}
}

// Any reports whether key starts with one of the topics.
func (t *Prefixes[V]) Any(key []byte) bool {
	for i := range t.levels {
		l := &t.levels[i]
		if l.n > len(key) {
			return false
		}
		if l.has(key[:l.n]) {
			return true
		}
	}
	return false
}

// All visits every topic and its value. The map must not change meanwhile.
func (t *Prefixes[V]) All(yield func(topic string, v V) bool) {
	for _, l := range t.levels {
		for topic, v := range l.m {
			if !yield(topic, v) {
				return
			}
		}
	}
}

// Longest is the length of the longest topic: what follows it in a key makes
// no difference.
func (t *Prefixes[V]) Longest() int {
	if len(t.levels) == 0 {
		return 0
	}
	return t.levels[len(t.levels)-1].n
}

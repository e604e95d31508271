package flow

// Member is a place in a RoundRobin. The zero value belongs to none.
type Member[T any] struct {
	V    T
	ring *RoundRobin[T]
	pos  int // index in ring.members
}

// Joined reports whether m belongs to a ring.
func (m *Member[T]) Joined() bool { return m.ring != nil }

// RoundRobin visits its active members in turn. Members without work, or
// without room, are deactivated and come back with Activate. The lock of its
// owner protects it and its members.
type RoundRobin[T any] struct {
	members []*Member[T] // the first active ones take turns
	active  int
	turn    int
}

// Len returns the number of members, active or not.
func (r *RoundRobin[T]) Len() int { return len(r.members) }

// Active returns the number of active members.
func (r *RoundRobin[T]) Active() int { return r.active }

// Add makes m an active member, whose turn comes after that of the others.
func (r *RoundRobin[T]) Add(m *Member[T]) {
	m.ring, m.pos = r, len(r.members)
	r.members = append(r.members, m)
	m.Activate()
}

// Activate lets m take turns again. It does nothing if m belongs to no ring.
func (m *Member[T]) Activate() {
	if r := m.ring; r != nil && m.pos >= r.active {
		r.swap(m.pos, r.active)
		r.active++
	}
}

// Deactivate lets m take no turns. The member that takes its place in the
// order keeps the turn.
func (m *Member[T]) Deactivate() {
	r := m.ring
	if r == nil || m.pos >= r.active {
		return
	}
	r.active--
	r.swap(m.pos, r.active)
	if r.turn >= r.active {
		r.turn = 0
	}
}

// Remove ends the membership of m. It does nothing if m belongs to no ring.
func (m *Member[T]) Remove() {
	r := m.ring
	if r == nil {
		return
	}
	m.Deactivate()
	last := len(r.members) - 1
	r.swap(m.pos, last)
	r.members[last] = nil
	r.members = r.members[:last]
	m.ring = nil
}

// Current returns the member whose turn it is.
func (r *RoundRobin[T]) Current() (m *Member[T], ok bool) {
	if r.active == 0 {
		return nil, false
	}
	return r.members[r.turn], true
}

// Next passes the turn on.
func (r *RoundRobin[T]) Next() {
	r.turn++
	if r.turn >= r.active {
		r.turn = 0
	}
}

// Only returns the member of a ring that has exactly one.
func (r *RoundRobin[T]) Only() (v T, ok bool) {
	if len(r.members) != 1 {
		return v, false
	}
	return r.members[0].V, true
}

func (r *RoundRobin[T]) swap(i, j int) {
	r.members[i], r.members[j] = r.members[j], r.members[i]
	r.members[i].pos, r.members[j].pos = i, j
}

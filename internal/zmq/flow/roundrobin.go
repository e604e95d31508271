package flow

// Seat is a member's place in a Rota.
type Seat[T any] struct {
	V   T
	pos int // index + 1; 0 is not seated
}

// Seated reports whether the seat is in a rota.
func (s *Seat[T]) Seated() bool { return s.pos > 0 }

// Rota takes turns among its active members: fair queueing for a receiver,
// round robin for a sender. Members that have nothing to give, or no room,
// are put aside and come back with Activate. Its owner's lock protects it.
type Rota[T any] struct {
	seats  []*Seat[T] // the first active ones take turns
	active int
	turn   int
}

// Len is the number of members, active or not.
func (r *Rota[T]) Len() int { return len(r.seats) }

// Active is the number of members that take turns.
func (r *Rota[T]) Active() int { return r.active }

// Add seats s, active, with its turn after the others'.
func (r *Rota[T]) Add(s *Seat[T]) {
	r.seats = append(r.seats, s)
	s.pos = len(r.seats)
	r.Activate(s)
}

// Activate lets s take turns again.
func (r *Rota[T]) Activate(s *Seat[T]) {
	if i := s.pos - 1; i >= r.active {
		r.swap(i, r.active)
		r.active++
	}
}

// Deactivate puts s aside; whoever took its place keeps the turn.
func (r *Rota[T]) Deactivate(s *Seat[T]) {
	i := s.pos - 1
	if i < 0 || i >= r.active {
		return
	}
	r.active--
	r.swap(i, r.active)
	if r.turn >= r.active {
		r.turn = 0
	}
}

// Remove unseats s.
func (r *Rota[T]) Remove(s *Seat[T]) {
	if s.pos == 0 {
		return
	}
	r.Deactivate(s)
	last := len(r.seats) - 1
	r.swap(s.pos-1, last)
	r.seats[last] = nil
	r.seats = r.seats[:last]
	s.pos = 0
}

// Current is the member whose turn it is.
func (r *Rota[T]) Current() (s *Seat[T], ok bool) {
	if r.active == 0 {
		return nil, false
	}
	return r.seats[r.turn], true
}

// Next passes the turn on.
func (r *Rota[T]) Next() {
	r.turn++
	if r.turn >= r.active {
		r.turn = 0
	}
}

// Only is the member of a rota that has no other.
func (r *Rota[T]) Only() (v T, ok bool) {
	if len(r.seats) != 1 {
		return v, false
	}
	return r.seats[0].V, true
}

// All visits every member, active or not.
func (r *Rota[T]) All(yield func(T) bool) {
	for _, s := range r.seats {
		if !yield(s.V) {
			return
		}
	}
}

func (r *Rota[T]) swap(i, j int) {
	r.seats[i], r.seats[j] = r.seats[j], r.seats[i]
	r.seats[i].pos, r.seats[j].pos = i+1, j+1
}

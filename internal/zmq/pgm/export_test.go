package pgm

// Sources returns how many sources are listened to.
func (r *Receiver) Sources() int { return len(r.sources) }

package main

// history is what the plugin knows of the steps that have run: at which the Rollout has been, without those whose last
// call has failed. Another canary, and an index that goes back, begin anew.
type history struct {
	known       bool
	canary      string
	from, at    int
	ran, failed map[int]bool
}

// index is the current step's.
func (s state) index() int {
	if s.Step == nil {
		return 0
	}
	return int(*s.Step)
}

// see takes in where the Rollout is.
func (h *history) see(at state) {
	index := at.index()
	if !h.known || h.canary != at.Current || index < h.at {
		*h = history{known: true, canary: at.Current, from: index, ran: map[int]bool{}, failed: map[int]bool{}}
	}
	h.at = index
	if !h.failed[index] {
		h.ran[index] = true
	}
}

// bring takes in how a call for the current step has ended.
func (h *history) bring(err error) {
	h.ran[h.at], h.failed[h.at] = err == nil, err != nil
}

// hasRun says if a step has. left: the header and mirror routes are as the step leaves them.
func (h *history) hasRun(index, steps int, left bool) bool {
	if index >= h.from {
		return h.ran[index]
	}
	return left || h.from < steps
}

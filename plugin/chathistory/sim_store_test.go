// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// simStore is the cache of the checkpoints. It outlives the processes. It knows
// nothing of what a value means, but remembers for each what of its chat had been
// acknowledged when it was first written: that is what must not come again where
// the value is found.
type simStore struct {
	w        *simWorld
	values   map[string]simValue
	before   map[string]simValue // what was there before that
	known    map[string]simKnown // by chat id and value
	writing  []*simWrite
	faults   []simStoreFault
	lifetime time.Duration // 0: for ever
	latency  time.Duration
	calls    int
	trouble  map[*simChat]time.Duration // when anything went wrong last
	forgot   bool                       // anything, ever
	tampered map[*simChat]time.Duration // when it lost or changed what it had
	wrote    map[*simChat]time.Duration
	rotten   map[*simChat]bool // a torn value was found by the process of now, and nothing whole
	hung     time.Duration     // when a call last hung; noTime: never
}

type simValue struct {
	value string
	at    time.Duration
}

// simKnown is what a value says was acknowledged: surely, and at most. What was
// acknowledged in the instant of the writing may be in it or not.
type simKnown struct{ surely, atMost simBits }

// simWrite is a Set that goes on.
type simWrite struct {
	p     *simProcess
	key   string
	value string
}

// simStoreFault is something that goes wrong at a time, or until a time.
type simStoreFault struct {
	at, to time.Duration
	kind   int
	pick   uint64
}

const (
	storeFails = iota
	storeHangs
	storeForgetsAll
	storeForgetsOne
	storeRots
	storeOlder
)

func (s *simStore) setup(w *simWorld) {
	*s = simStore{
		w: w, values: map[string]simValue{}, before: map[string]simValue{}, known: map[string]simKnown{},
		hung: noTime, trouble: map[*simChat]time.Duration{}, tampered: map[*simChat]time.Duration{}, wrote: map[*simChat]time.Duration{}, rotten: map[*simChat]bool{},
	}
	r := w.rnd("store")
	s.latency = between(r, 10*time.Microsecond, 20*time.Millisecond)
	if w.on.has(simExpires) {
		s.lifetime = between(r, 2*time.Second, w.cfg.chaos)
	}
	for _, f := range []struct{ ingredient, kind int }{
		{simStoreFails, storeFails}, {simStoreFails, storeHangs}, {simForgets, storeForgetsAll}, {simForgets, storeForgetsOne},
		{simRot, storeRots}, {simOlder, storeOlder},
	} {
		k := w.rnd("store fault", f.kind)
		for range 1 + k.IntN(3) {
			at := between(k, 0, w.cfg.chaos)
			fault := simStoreFault{at: at, to: at + oneOf(k, between(k, 0, 3*time.Second), between(k, 0, w.cfg.chaos/3)), kind: f.kind, pick: k.Uint64()}
			// Some strike while no process runs.
			if len(w.cfg.stops) > 0 && chance(k, 40) {
				stop := w.cfg.stops[k.IntN(len(w.cfg.stops))]
				fault.at = stop.at + stop.rest/2
			}
			if w.on.has(f.ingredient) {
				s.faults = append(s.faults, fault)
			}
		}
	}
	slices.SortFunc(s.faults, func(a, b simStoreFault) int { return int(a.at - b.at) })
}

// chatOf finds the chat in a key, whatever else the key has.
func (s *simStore) chatOf(key string) *simChat {
	for _, c := range s.w.chats {
		if strings.Contains(key, c.id) {
			return c
		}
	}
	if s.w.on.has(simLongID) {
		return s.w.chats[0] // whose id may be hashed
	}
	return nil
}

// catchUp lets happen what is due. Caller holds mu.
func (s *simStore) catchUp(now time.Duration) {
	for len(s.faults) > 0 && s.faults[0].at <= now {
		f := s.faults[0]
		if f.kind == storeFails || f.kind == storeHangs {
			if f.to > now && !s.w.calm {
				return
			}
			s.faults = s.faults[1:]
			continue
		}
		s.faults = s.faults[1:]
		keys := make([]string, 0, len(s.values))
		for k := range s.values {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if len(keys) == 0 {
			continue
		}
		one := keys[f.pick%uint64(len(keys))]
		c := s.chatOf(one)
		s.forgot = true
		switch f.kind {
		case storeForgetsAll:
			clear(s.values)
			for _, c := range s.w.chats {
				s.trouble[c], s.tampered[c] = f.at, f.at
			}
			s.w.note("forgets", nil, 0, 0, "all")
			continue
		case storeForgetsOne:
			delete(s.values, one)
			s.w.note("forgets", c, 0, 0, "")
		case storeRots:
			v := s.values[one]
			v.value = oneOfTwo(f.pick>>8, "", v.value[:len(v.value)/2])
			s.values[one] = v
			s.w.note("rots", c, 0, 0, v.value)
		case storeOlder:
			if old, ok := s.before[one]; ok {
				s.values[one] = old
				s.w.note("older", c, 0, 0, "")
			}
		}
		if c != nil {
			s.trouble[c], s.tampered[c] = f.at, f.at
		}
	}
}

func oneOfTwo(pick uint64, a, b string) string {
	if pick&1 == 0 {
		return a
	}
	return b
}

// state says whether the store works now. A window that began holds until it ends,
// and the faults behind it wait.
func (s *simStore) state(now time.Duration) (kind int, bad bool) {
	if s.w.calm || len(s.faults) == 0 || s.faults[0].at > now {
		return 0, false
	}
	return s.faults[0].kind, true
}

var errStoreFails = errors.New("the store does not work")

// call is what every access goes through. It returns with mu held, unless there is
// an error.
func (s *simStore) call(ctx context.Context, p *simProcess, op, key string) (*simChat, error) {
	w := s.w
	w.mu.Lock()
	if p.gone {
		w.mu.Unlock()
		return nil, errSimGone
	}
	now := w.now()
	s.catchUp(now)
	s.calls++
	c := s.chatOf(key)
	if c == nil {
		w.violated(3, "the store is asked for %q, which is no chat's", key)
		w.mu.Unlock()
		return nil, errStoreFails
	}
	c.stored++
	r := w.rnd("store "+op, c.n, c.stored)
	kind, bad := s.state(now)
	if bad {
		s.trouble[c] = now
	}
	if bad && kind == storeHangs {
		s.hung = now
	}
	w.note(op, c, len(key), 0, "")
	w.mu.Unlock()
	d := between(r, 0, s.latency)
	if bad && kind == storeHangs {
		d = 1000 * time.Hour
	}
	if err := simSleep(ctx, d); err != nil {
		return nil, err
	}
	if len(key) > 250 {
		return nil, errors.New("file name too long")
	}
	w.mu.Lock()
	if p.gone || bad {
		w.mu.Unlock()
		return nil, errStoreFails
	}
	s.catchUp(w.now())
	return c, nil
}

func (s *simStore) get(ctx context.Context, p *simProcess, key string) ([]byte, error) {
	c, err := s.call(ctx, p, "get", key)
	if err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	v, ok := s.values[key]
	if ok && s.lifetime > 0 && s.w.now()-v.at > s.lifetime {
		s.trouble[c], s.tampered[c] = s.w.now(), s.w.now()
		s.forgot = true
		s.w.note("expires", c, 0, 0, "")
		if _, whole := s.known[c.id+"\x00"+v.value]; !whole {
			s.rotten[c] = false // that has gone
		}
		delete(s.values, key)
		ok = false
	}
	known, whole := s.known[c.id+"\x00"+v.value]
	if !c.servedTo[p] {
		// What the process goes on from.
		switch {
		case !ok:
			if c.fresh != p && len(p.loaded[c].surely) == 0 && !s.rotten[c] {
				c.fresh, c.freshLooks, c.freshSaved, c.freshLook = p, 0, noTime, 0
			}
		case whole:
			p.loaded[c] = simKnown{slices.Clone(known.surely), slices.Clone(known.atMost)}
			s.rotten[c] = false
			if c.fresh == p {
				c.fresh = nil
			}
		default:
			s.rotten[c] = true
			if c.fresh == p {
				c.fresh = nil
			}
		}
	}
	if !ok {
		return nil, service.ErrKeyNotFound
	}
	if v.value == "" {
		return nil, nil // as some caches have it
	}
	return []byte(v.value), nil
}

func (s *simStore) set(ctx context.Context, p *simProcess, key string, value []byte) error {
	w := s.w
	w.mu.Lock()
	write := &simWrite{p, key, string(value)}
	if c := s.chatOf(key); c != nil && !p.gone {
		id := c.id + "\x00" + string(value)
		known, ok := s.known[id]
		if !ok {
			// What a server that hides messages was believed begins anew.
			if !w.deceived() {
				known.surely = slices.Clone(p.loaded[c].surely)
				known.surely.join(p.covered(c, w.now()))
			}
			known.atMost = slices.Clone(p.loaded[c].atMost)
		}
		known.atMost.join(p.covered(c, w.now()+1))
		s.known[id] = known
		if c.fresh == p && c.freshSaved == noTime {
			c.freshSaved = w.now()
		}
		s.writing = append(s.writing, write)
	}
	w.mu.Unlock()
	_, err := s.call(ctx, p, "set", key)
	if err != nil {
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	s.writing = slices.DeleteFunc(s.writing, func(o *simWrite) bool { return o == write })
	if err != nil {
		return err
	}
	s.put(key, string(value))
	return nil
}

func (s *simStore) put(key, value string) {
	if old, ok := s.values[key]; ok && old.value != value {
		s.before[key] = old
	}
	s.values[key] = simValue{value, s.w.now()}
	if c := s.chatOf(key); c != nil {
		s.wrote[c] = s.w.now()
	}
}

// kill leaves what was being written somewhere between not and done.
func (s *simStore) kill(p *simProcess) {
	for i, write := range s.writing {
		if write.p != p {
			continue
		}
		r := s.w.rnd("torn", p.n, i)
		c := s.chatOf(write.key)
		switch x := r.IntN(4); {
		case x == 0:
			s.put(write.key, write.value)
		case x == 1 && s.w.on.has(simTorn):
			s.w.note("torn", c, 0, 0, "empty")
			s.put(write.key, "")
		case x == 2 && s.w.on.has(simTorn):
			s.w.note("torn", c, 0, 0, "half")
			s.put(write.key, write.value[:len(write.value)/2])
		}
	}
	s.writing = slices.DeleteFunc(s.writing, func(o *simWrite) bool { return o.p == p })
}

// held says that a call hung lately: that keeps other chats waiting too.
func (s *simStore) held(lately time.Duration) bool {
	return s.hung != noTime && s.hung > lately-2*time.Minute
}

// holds returns what a chat's values of now may say was acknowledged.
func (s *simStore) holds(c *simChat) simBits {
	var bits simBits
	for key, v := range s.values {
		if s.chatOf(key) == c {
			bits.join(s.known[c.id+"\x00"+v.value].atMost)
		}
	}
	return bits
}

// surely returns what a chat's values of now certainly say was acknowledged. What was written
// first, to be there if the next write is torn, is not looked at unless it is.
func (s *simStore) surely(c *simChat) simBits {
	var bits simBits
	for key, v := range s.values {
		own, spare := strings.CutSuffix(key, ".next")
		torn, there := s.values[own]
		_, whole := s.known[c.id+"\x00"+torn.value]
		if s.chatOf(key) == c && (!spare || there && !whole) {
			bits.join(s.known[c.id+"\x00"+v.value].surely)
		}
	}
	return bits
}

// simCache is the store as one process sees it.
type simCache struct{ p *simProcess }

func (s simCache) Get(ctx context.Context, key string) ([]byte, error) {
	return s.p.w.store.get(ctx, s.p, key)
}

func (s simCache) Set(ctx context.Context, key string, value []byte, _ *time.Duration) error {
	return s.p.w.store.set(ctx, s.p, key, value)
}

func (s simCache) Add(ctx context.Context, key string, value []byte, _ *time.Duration) error {
	return s.p.w.store.set(ctx, s.p, key, value)
}

func (s simCache) Delete(ctx context.Context, key string) error {
	_, err := s.p.w.store.call(ctx, s.p, "delete", key)
	if err != nil {
		return err
	}
	defer s.p.w.mu.Unlock()
	delete(s.p.w.store.values, key)
	return nil
}

func (simCache) Close(context.Context) error { return nil }

// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var errRejected = errors.New("rejected")

func closeAfter(t *testing.T, in service.BatchInput) {
	t.Helper()
	t.Cleanup(func() { assert.NoError(t, in.Close(context.WithoutCancel(t.Context()))) })
}

// The fault of benthos's own wrapper: 10 messages, of which 5 are rejected, and of
// these 2 once more.
func TestReplay_RejectedInPartTwice(t *testing.T) {
	t.Parallel()
	f := newFeed(10)
	in := wrap(f, true)
	closeAfter(t, in)
	_, batch, ack := read(t, in)
	require.NoError(t, ack(t.Context(), failing(batch, 1, 3, 5, 7, 9)))
	got, batch, ack := read(t, in)
	assert.Equal(t, []string{"0/1", "0/3", "0/5", "0/7", "0/9"}, got)
	require.NoError(t, ack(t.Context(), failing(batch, 3, 4)))
	assert.True(t, f.wasAccepted("0/5"))
	assert.False(t, f.wasAccepted("0/7"))
	got, _, ack = read(t, in)
	assert.Equal(t, []string{"0/7", "0/9"}, got)
	assert.False(t, f.isAcked(0))
	require.NoError(t, ack(t.Context(), nil))
	f.settled(t)
	_, _, err := in.ReadBatch(t.Context())
	require.ErrorIs(t, err, service.ErrEndOfInput)
}

// Whatever becomes of the messages on their way, and whichever are rejected how
// often and in whatever form: each is delivered, or dropped as it always is, before
// it counts as accepted.
func TestReplay_AnySubsetAnyNumberOfTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Of a *testing.T rapid would ask the deadline, which has none in there.
		rapid.Check(struct{ testing.TB }{t}, anySubsetAnyNumberOfTimes)
	})
}

func anySubsetAnyNumberOfTimes(t *rapid.T) {
	sizes := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 5).Draw(t, "sizes")
	f := newFeed(sizes...)
	in := wrap(f, true)
	defer func() { require.NoError(t, in.Close(context.Background())) }()
	dropped := map[string]bool{}
	for n, size := range sizes {
		for i := range size {
			dropped[name(n, i)] = rapid.IntRange(0, 3).Draw(t, "dropped") == 0
		}
	}
	shape := rapid.SampledFrom([]string{"as it is", "filter", "reverse", "twice", "archive", "orphan"}).Draw(t, "shape")
	rounds := rapid.IntRange(0, 30).Draw(t, "rounds")
	delivered := map[string]int{}
	open := map[string]bool{} // bodies that must not be sent any more
	type out struct {
		batch service.MessageBatch
		ack   service.AckFunc
	}
	var outs []out
	answer := func() {
		n := rapid.IntRange(0, len(outs)-1).Draw(t, "answered")
		o := outs[n]
		outs = slices.Delete(outs, n, n+1)
		sent := bodies(t, o.batch)
		shaped := process(t, shape, o.batch, dropped)
		rejects := rounds > 0 && rapid.IntRange(0, 3).Draw(t, "rejects") > 0
		var err error
		failed := make([]bool, len(shaped))
		if rejects && len(shaped) > 0 {
			rounds--
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				err = errRejected
			case 1:
				err = service.NewBatchError(shaped, errRejected)
			default:
				some := false
				e := service.NewBatchError(shaped, errRejected)
				for i := range failed {
					if failed[i] = rapid.Bool().Draw(t, "failed"); failed[i] {
						e.Failed(i, errRejected)
						some = true
					}
				}
				if some {
					err = e
				}
			}
			var e *service.BatchError
			if err != nil && (!errors.As(err, &e) || e.IndexedErrors() == 0) {
				for i := range failed {
					failed[i] = true
				}
			}
			if err != nil && rapid.Bool().Draw(t, "wrapped") {
				err = fmt.Errorf("output: %w", err)
			}
		}
		for i, m := range shaped {
			if !failed[i] {
				body, bodyErr := m.AsBytes()
				require.NoError(t, bodyErr)
				for one := range strings.FieldsSeq(string(body)) {
					delivered[one]++
				}
			}
		}
		require.NoError(t, o.ack(context.Background(), err))
		require.NoError(t, o.ack(context.Background(), nil), "a second answer means nothing")
		for _, body := range sent {
			if f.wasAccepted(body) {
				require.False(t, open[body], "%s is accepted twice", body)
				open[body] = true
				if shape != "filter" || !dropped[body] {
					require.Positive(t, delivered[body], "%s is accepted and was not delivered", body)
				}
			}
		}
	}
	for {
		if len(outs) > 0 && rapid.Bool().Draw(t, "answer") {
			answer()
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		if len(outs) > 0 {
			// It may have nothing to give until something is answered.
			ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
		}
		batch, ack, err := in.ReadBatch(ctx)
		cancel()
		switch {
		case err == nil:
			for _, body := range bodies(t, batch) {
				require.False(t, open[body], "%s was accepted and is sent again", body)
			}
			outs = append(outs, out{batch, ack})
			continue
		case errors.Is(err, service.ErrEndOfInput):
			require.Empty(t, outs)
			f.settled(t)
			return
		case len(outs) > 0:
			answer()
		default:
			t.Fatalf("reading: %v", err)
		}
	}
}

// process does to a batch what a pipeline could.
func process(t *rapid.T, shape string, batch service.MessageBatch, dropped map[string]bool) service.MessageBatch {
	batch = batch.Copy()
	texts := bodies(t, batch)
	switch shape {
	case "filter":
		var kept service.MessageBatch
		for i, m := range batch {
			if !dropped[texts[i]] {
				kept = append(kept, m)
			}
		}
		return kept
	case "reverse":
		slices.Reverse(batch)
	case "twice":
		return append(batch, batch.Copy()...)
	case "archive", "orphan":
		one := batch[0].Copy()
		if shape == "orphan" {
			one = service.NewMessage(nil)
		}
		one.SetBytes([]byte(strings.Join(texts, " ")))
		return service.MessageBatch{one}
	}
	return batch
}

// What a pipeline does with a message must not show in what is sent again, and a
// message that is rejected for ever must not grow.
func TestReplay_SendsTheSameAgain(t *testing.T) {
	t.Parallel()
	f := newFeed(2)
	in := wrap(f, true)
	closeAfter(t, in)
	for range 5 {
		got, batch, ack := read(t, in)
		assert.Equal(t, []string{"0/0", "0/1"}, got)
		meta := 0
		require.NoError(t, batch[0].MetaWalkMut(func(string, any) error { meta++; return nil }))
		assert.Zero(t, meta)
		assert.LessOrEqual(t, strings.Count(fmt.Sprint(batch[0].Context()), "WithValue"), 1, "one index, however often")
		batch[0].SetBytes([]byte("changed"))
		batch[1].MetaSetMut("changed", true)
		require.NoError(t, ack(t.Context(), errRejected))
	}
}

func TestReplay_RestsLongerEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := wrap(newFeed(1), true)
		var pauses []time.Duration
		for range 16 {
			began := time.Now()
			_, _, ack := read(t, in)
			pauses = append(pauses, time.Since(began))
			require.NoError(t, ack(t.Context(), errRejected))
		}
		assert.Equal(t, []time.Duration{0, 0, time.Millisecond, 2 * time.Millisecond}, pauses[:4])
		assert.Equal(t, []time.Duration{longestPause, longestPause}, pauses[14:])
		assert.True(t, slices.IsSorted(pauses))
		require.NoError(t, in.Close(t.Context()))
	})
}

// While one batch rests, those that come after it are read, and the answers to
// others are taken.
func TestReplay_OneThatRestsHoldsUpNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sizes := slices.Repeat([]int{1}, 1000)
		f := newFeed(sizes...)
		in := wrap(f, true)
		began := time.Now()
		bad := 0
		for len(f.acked) < 999 {
			got, _, ack := read(t, in)
			if got[0] == "0/0" {
				bad++
				require.NoError(t, ack(t.Context(), errRejected))
				continue
			}
			require.NoError(t, ack(t.Context(), nil))
		}
		assert.Less(t, time.Since(began), time.Millisecond)
		assert.LessOrEqual(t, bad, 3)
		require.NoError(t, in.Close(t.Context()))
	})
}

// As many that are rejected for ever as could keep an output busy leave every
// second turn to what is new.
func TestReplay_ManyThatAreRejectedLeaveTimeForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const bad = 500
		f := newFeed(slices.Repeat([]int{1}, 2*bad)...)
		in := wrap(f, true)
		for sends := 0; len(f.acked) < bad; sends++ {
			require.Less(t, sends, 10*bad)
			got, _, ack := read(t, in)
			time.Sleep(5 * time.Millisecond) // a slow output: 200 in a second
			var n int
			_, err := fmt.Sscanf(got[0], "%d/", &n)
			require.NoError(t, err)
			if n < bad {
				require.NoError(t, ack(t.Context(), errRejected))
			} else {
				require.NoError(t, ack(t.Context(), nil))
			}
		}
		require.NoError(t, in.Close(t.Context()))
	})
}

// A message that the pipeline drops is not held back for ever by one of the same
// batch that is always rejected.
func TestReplay_DroppedBesideOneThatIsRejectedForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(5)
		in := wrap(f, true)
		for range 50 {
			got, batch, ack := read(t, in)
			var kept service.MessageBatch
			bad := -1
			for i, body := range got {
				if body == "0/1" || body == "0/3" {
					continue // the pipeline drops them
				}
				if body == "0/2" {
					bad = len(kept)
				}
				kept = append(kept, batch[i])
			}
			switch {
			case bad >= 0:
				require.NoError(t, ack(t.Context(), failing(kept, bad)))
			default:
				require.NoError(t, ack(t.Context(), nil))
			}
		}
		assert.Equal(t, map[string]int{"0/0": 1, "0/1": 1, "0/3": 1, "0/4": 1}, f.accepted)
		assert.Empty(t, f.acked)
		require.NoError(t, in.Close(t.Context()))
	})
}

func TestReplay_AnswerOfAStopAcceptsNothing(t *testing.T) {
	t.Parallel()
	stopped := errors.New("the reader is closed")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		again    bool
		ctx      context.Context //nolint:containedctx // it is the case
		err      error
		accepted int
	}{
		"delivered":                             {true, t.Context(), nil, 3},
		"delivered, stopping":                   {true, ended, nil, 0},
		"rejected":                              {true, t.Context(), errRejected, 0},
		"delivered, none again":                 {false, t.Context(), nil, 3},
		"delivered, none again, stopping":       {false, ended, nil, 0},
		"rejected, none again":                  {false, t.Context(), errRejected, 3},
		"rejected, none again, stopping":        {false, ended, errRejected, 0},
		"canceled, none again":                  {false, t.Context(), fmt.Errorf("writing: %w", context.Canceled), 0},
		"the consumer's own stop, none again":   {false, t.Context(), stopped, 0},
		"the consumer's own stop, but it again": {true, t.Context(), stopped, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFeed(3)
			f.stopped = stopped
			in := wrap(f, tc.again)
			closeAfter(t, in)
			_, _, ack := read(t, in)
			require.NoError(t, ack(tc.ctx, tc.err))
			assert.Len(t, f.accepted, tc.accepted)
			assert.Equal(t, tc.accepted == 3, f.isAcked(0))
			if tc.accepted == 0 {
				got, _, _ := read(t, in)
				assert.Len(t, got, 3, "it was no stop after all")
			}
		})
	}
	t.Run("in part, none again", func(t *testing.T) {
		t.Parallel()
		f := newFeed(4)
		in := wrap(f, false)
		closeAfter(t, in)
		_, batch, ack := read(t, in)
		e := service.NewBatchError(batch, context.Canceled)
		e.Failed(1, context.Canceled)
		e.Failed(2, errRejected)
		require.NoError(t, ack(t.Context(), e))
		got, _, ack := read(t, in)
		assert.Subset(t, got, []string{"0/1"})
		require.NoError(t, ack(t.Context(), errRejected))
		f.settled(t)
	})
	t.Run("after Close", func(t *testing.T) {
		t.Parallel()
		f := newFeed(3)
		in := wrap(f, true)
		_, _, ack := read(t, in)
		require.NoError(t, in.Close(t.Context()))
		require.NoError(t, ack(t.Context(), nil))
		assert.Empty(t, f.accepted)
		assert.Empty(t, f.acked)
	})
}

// The end of the inner input is passed on after the last acknowledgement, whether
// Read or Connect tells of it.
func TestReplay_EndsAfterTheLastAcknowledgement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(1, 1)
		in := wrap(f, true)
		_, _, first := read(t, in)
		_, _, second := read(t, in)
		ended := atomic.Bool{}
		var again service.MessageBatch
		go func() {
			for {
				batch, ack, err := in.ReadBatch(t.Context())
				if err != nil {
					assert.ErrorIs(t, err, service.ErrEndOfInput)
					ended.Store(true)
					return
				}
				again = append(again, batch...)
				assert.NoError(t, ack(t.Context(), nil))
			}
		}()
		synctest.Wait()
		require.False(t, ended.Load())
		require.NoError(t, second(t.Context(), nil))
		synctest.Wait()
		require.False(t, ended.Load())
		require.NoError(t, first(t.Context(), errRejected))
		synctest.Wait()
		require.True(t, ended.Load())
		assert.Equal(t, []string{"0/0"}, bodies(t, again))
		assert.Equal(t, 3, f.reads, "nothing is read behind the end")
		require.NoError(t, in.Close(t.Context()))
	})
}

// An Ack that takes its time holds up nothing but the end.
func TestReplay_SlowAck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(1, 1, 1)
		slow := make(chan struct{})
		in := wrap(slowly{f, slow}, true)
		_, _, first := read(t, in)
		go func() { assert.NoError(t, first(t.Context(), nil)) }()
		synctest.Wait()
		for range 2 {
			_, _, ack := read(t, in)
			require.NoError(t, ack(t.Context(), errRejected))
			_, _, ack = read(t, in)
			go func() { assert.NoError(t, ack(t.Context(), nil)) }()
		}
		ended := atomic.Bool{}
		go func() {
			_, _, err := in.ReadBatch(t.Context())
			assert.ErrorIs(t, err, service.ErrEndOfInput)
			ended.Store(true)
		}()
		synctest.Wait()
		require.False(t, ended.Load())
		close(slow)
		synctest.Wait()
		require.True(t, ended.Load())
		f.settled(t)
		require.NoError(t, in.Close(t.Context()))
	})
}

type slowly struct {
	*feed
	until chan struct{}
}

func (s slowly) Read(ctx context.Context) (*Batch, error) {
	b, err := s.feed.Read(ctx)
	if err == nil {
		ack := b.Ack
		b.Ack = func() { <-s.until; ack() }
	}
	return b, err
}

// A read that is under way when the caller gives up goes on, and what it brings
// comes with the next call.
func TestReplay_ReadUnderWayIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(1, 1)
		f.onRead = func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		in := wrap(f, true)
		for range 9 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_, _, err := in.ReadBatch(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
		}
		began := time.Now()
		got, _, ack := read(t, in)
		assert.Equal(t, []string{"0/0"}, got)
		assert.Equal(t, 100*time.Millisecond, time.Since(began))

		// Something comes back while the next read is under way.
		go func() {
			time.Sleep(500 * time.Millisecond)
			assert.NoError(t, ack(t.Context(), errRejected))
		}()
		got, _, _ = read(t, in)
		assert.Equal(t, []string{"0/0"}, got)
		got, _, _ = read(t, in)
		assert.Equal(t, []string{"1/0"}, got)
		require.NoError(t, in.Close(t.Context()))
	})
}

func TestReplay_Errors(t *testing.T) {
	t.Parallel()
	odd := errors.New("odd")
	for _, want := range []error{service.ErrNotConnected, odd} {
		f := newFeed(1, 1)
		in := wrap(f, true)
		closeAfter(t, in)
		_, _, ack := read(t, in)
		fails := true
		f.onRead = func(context.Context) error {
			if fails {
				fails = false
				return want
			}
			return nil
		}
		require.NoError(t, ack(t.Context(), errRejected))
		got, _, ack := read(t, in)
		assert.Equal(t, []string{"0/0"}, got, "what is due goes first")
		_, _, err := in.ReadBatch(t.Context())
		require.ErrorIs(t, err, want, "at once, whatever is out")
		require.NoError(t, in.Connect(t.Context()))
		require.NoError(t, ack(t.Context(), nil))
		got, _, _ = read(t, in)
		assert.Equal(t, []string{"1/0"}, got)
	}
}

type endsInConnect struct {
	*feed
	connects int
}

func (e *endsInConnect) Connect(context.Context) error {
	if e.connects++; e.connects > 1 {
		return service.ErrEndOfInput
	}
	return nil
}

func TestReplay_EndInConnect(t *testing.T) {
	t.Parallel()
	f := newFeed(1)
	in := wrap(&endsInConnect{feed: f}, true)
	closeAfter(t, in)
	require.NoError(t, in.Connect(t.Context()))
	_, _, ack := read(t, in)
	require.NoError(t, in.Connect(t.Context()), "something is out")
	require.NoError(t, ack(t.Context(), errRejected))
	_, _, ack = read(t, in)
	require.NoError(t, ack(t.Context(), nil))
	_, _, err := in.ReadBatch(t.Context())
	require.ErrorIs(t, err, service.ErrEndOfInput)
	require.ErrorIs(t, in.Connect(t.Context()), service.ErrEndOfInput)
}

func TestReplay_Close(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	t.Run("before Connect, and twice", func(t *testing.T) {
		t.Parallel()
		f := newFeed(1)
		in := wrap(f, true)
		require.NoError(t, in.Close(t.Context()))
		require.NoError(t, in.Close(t.Context()))
		assert.Equal(t, 1, f.closed)
		require.ErrorIs(t, in.Connect(t.Context()), service.ErrNotConnected)
		_, _, err := in.ReadBatch(t.Context())
		require.ErrorIs(t, err, service.ErrNotConnected)
		assert.Zero(t, f.reads)
	})
	t.Run("during ReadBatch", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := newFeed(1)
			f.onRead = hangs
			in := wrap(f, true)
			over := make(chan error)
			go func() {
				_, _, err := in.ReadBatch(t.Context())
				over <- err
			}()
			synctest.Wait()
			require.NoError(t, in.Close(t.Context()))
			require.ErrorIs(t, <-over, service.ErrNotConnected)
			require.NoError(t, in.Close(t.Context()))
			assert.Equal(t, 1, f.closed)
		})
	})
	t.Run("waits for a read, as long as it may", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := newFeed(1)
			slow := make(chan struct{})
			f.onRead = func(context.Context) error { <-slow; return nil }
			in := wrap(f, true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, _, err := in.ReadBatch(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			began := time.Now()
			patient, done := context.WithTimeout(t.Context(), time.Minute)
			defer done()
			require.NoError(t, in.Close(patient))
			assert.Equal(t, time.Minute, time.Since(began))
			close(slow)
		})
	})
}

// An empty batch means nothing to a pipeline, which would never answer it.
func TestReplay_EmptyBatch(t *testing.T) {
	t.Parallel()
	f := newFeed(0, 1, 0)
	in := wrap(f, true)
	closeAfter(t, in)
	got, _, ack := read(t, in)
	assert.Equal(t, []string{"1/0"}, got)
	require.NoError(t, ack(t.Context(), nil))
	_, _, err := in.ReadBatch(t.Context())
	require.ErrorIs(t, err, service.ErrEndOfInput)
	f.settled(t)
}

// What fails may be a message that the pipeline has made of others. Then it is not
// known which they are.
func TestReplay_FailureThatCannotBeMatched(t *testing.T) {
	t.Parallel()
	f := newFeed(3)
	in := wrap(f, true)
	closeAfter(t, in)
	_, batch, ack := read(t, in)
	made := append(batch.Copy(), service.NewMessage([]byte("made of all three")))
	require.NoError(t, ack(t.Context(), failing(made, 1, 3)))
	assert.Empty(t, f.accepted)
	got, _, ack := read(t, in)
	assert.Equal(t, []string{"0/0"}, got)
	require.NoError(t, ack(t.Context(), nil))
	got, _, ack = read(t, in)
	assert.Equal(t, []string{"0/1", "0/2"}, got)
	require.NoError(t, ack(t.Context(), nil))
	f.settled(t)
}

// SPDX-License-Identifier: Apache-2.0

package feed

import "context"

// Discovery names the talks that are new or have news, again and again. Next is for one
// goroutine at a time, as is Save; Unacked and the acknowledgements are for any.
type Discovery interface {
	// Next makes a request or a few, and returns the talks that it may name now: often
	// none. After an error the same is asked for again; nothing is lost by it. The first
	// call reads the Store, of which an error is a [*StoreError].
	Next(ctx context.Context) (*Batch, error)
	// Save writes what was acknowledged since it was last saved. An error is a
	// [*StoreError]; the next Save tries again.
	Save(ctx context.Context) error
	// Unacked returns how many talks were named and not acknowledged.
	Unacked() int
}

// Batch is what a call of Next brought.
type Batch struct {
	// Talks are those to read, each at most once in a batch. Nothing else refers to
	// them, so who keeps a Batch only to acknowledge it may set them to nil.
	Talks []Talk
	// Done says that the listing is complete: all that there was when it began has been
	// named. The next call of Next begins another.
	Done bool

	ack func(i int)
}

// Ack says that the talk with an index in Talks has been read and delivered. Further
// calls do nothing. A talk that is never acknowledged holds back the checkpoint, and
// nothing else.
func (b *Batch) Ack(i int) {
	if b.ack != nil {
		b.ack(i)
	}
}

// Talk is a talk with news. What is not known is zero: only ID always is.
type Talk struct {
	ID     string // digits, as crm.CheckTalkID wants them
	Origin string

	// ChatID and ContactID are told by a talk, not by an event.
	ChatID    string
	ContactID string
	// EntityID and EntityType are the lead or other entity, told by both.
	EntityID, EntityType string
	// Updated is when the latest of its events was made or, where the talk itself was
	// asked for, its updated_at: Unix seconds.
	Updated int64

	// Announced are the messages that the feed has announced since the talk was named
	// last, oldest first. Of more than [MaxAnnounced] they are the newest, and Left is
	// how many were left out.
	Announced []Announced
	Left      int
	// Again says that the talk was named before in this listing, and that all of
	// Announced is minutes older than the listing. Whoever began to read it since it was named
	// has read these too. It comes only with [Config].Repeat.
	Again bool

	// Raw is the API's own JSON of the latest event or, where the talk itself was asked
	// for, of the talk, byte for byte.
	Raw []byte
	// Event says that Raw is an event.
	Event bool
}

// Announced is a message that the feed has announced.
type Announced struct {
	ID string
	At int64 // created_at of the event, Unix seconds; 0 if it does not say
}

// MaxAnnounced is how many announced messages of a talk are kept until it is named.
const MaxAnnounced = 1000

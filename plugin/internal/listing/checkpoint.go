// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
)

// state is what a checkpoint holds of a list that tells of updates: what was
// listed and acknowledged without a gap.
type state struct {
	progress
	stamps map[string]stamp
}

// progress is the part of a state that each batch replaces.
type progress struct {
	bounds
	swept, sweptAt int64
	newestFirst    bool
	lies           bool   // pages that are not full are not the last
	place          *place // nil between two listings
}

// place is how far a listing is. Its rows are looked for again, so it stays right
// however much the list has changed since.
type place struct {
	started, newest int64
	whole, loose    bool
	order           order
	covered         int
	marks, front    []mark
}

// advance takes what was acknowledged next, and reports whether anything changed.
func (s *state) advance(p *pending) bool {
	changed := len(p.remember) > 0
	for _, k := range p.remember {
		s.stamps[k.Key] = k.stamp
	}
	if p.after != nil {
		before := s.progress
		s.progress = *p.after
		before.floor, before.round = s.floor, s.round // they are not saved
		changed = changed || before != s.progress
		s.prune(s.stamps)
	}
	return changed
}

// checkpointVersion is written into every checkpoint. A reader that meets a
// higher one refuses it rather than guess.
const checkpointVersion = 1

type checkpointJSON struct {
	checkpoint.Versioned
	Origins []string `json:"origins,omitempty"`
	Since   int64    `json:"since,omitempty"`

	Watermark   int64       `json:"watermark"`
	Stamps      []stampJSON `json:"named"`
	NewestFirst bool        `json:"newest_first"`
	Swept       int64       `json:"swept"`
	SweptAt     int64       `json:"swept_at"`
	ShortPages  bool        `json:"short_pages,omitempty"`
	Place       *placeJSON  `json:"place,omitempty"`
}

type stampJSON struct {
	Key     string `json:"id"`
	Updated int64  `json:"updated_at"`
	Unsure  bool   `json:"unsure,omitempty"`
}

type placeJSON struct {
	Started int64       `json:"started"`
	Newest  int64       `json:"newest"`
	Whole   bool        `json:"whole"`
	Loose   bool        `json:"loose,omitempty"`
	Order   orderJSON   `json:"order"`
	Covered int         `json:"covered"`
	Marks   []stampJSON `json:"marks"`
	Front   []stampJSON `json:"front"`
}

type orderJSON struct {
	Broken     bool `json:"broken"`
	OlderFirst int  `json:"older_first"`
	NewerFirst int  `json:"newer_first"`
}

// encodeState writes a state as versioned JSON, with what it was made for.
func encodeState(s state, origins []string, since int64) ([]byte, error) {
	j := checkpointJSON{
		Versioned: checkpoint.Versioned{Version: checkpointVersion}, Origins: origins, Since: since,
		Watermark: s.watermark, Stamps: []stampJSON{}, NewestFirst: s.newestFirst, Swept: s.swept, SweptAt: s.sweptAt,
		ShortPages: s.lies,
	}
	for _, key := range slices.Sorted(maps.Keys(s.stamps)) {
		j.Stamps = append(j.Stamps, stampJSON{key, s.stamps[key].Updated, s.stamps[key].Unsure})
	}
	if p := s.place; p != nil {
		j.Place = &placeJSON{
			p.started, p.newest, p.whole, p.loose, orderJSON(p.order), p.covered, encodeMarks(p.marks), encodeMarks(p.front),
		}
	}
	return checkpoint.Encode(j)
}

func encodeMarks(marks []mark) []stampJSON {
	j := make([]stampJSON, len(marks))
	for i, m := range marks {
		j[i] = stampJSON{Key: m.Key, Updated: m.Updated}
	}
	return j
}

func decodeMarks(j []stampJSON) []mark {
	var marks []mark
	for _, s := range j {
		marks = append(marks, mark{s.Key, s.Updated})
	}
	return marks
}

// decodeState reads what encodeState wrote. Anything else, the empty and the half
// written value included, is an error: it must not be mistaken for a list that was
// never read.
func decodeState(b []byte) (s state, origins []string, since int64, err error) {
	var j checkpointJSON
	if err := checkpoint.Decode(b, checkpointVersion, &j); err != nil {
		return state{}, nil, 0, err
	}
	switch {
	case j.Stamps == nil:
		return state{}, nil, 0, errors.New("decoding a checkpoint: it does not say what was named")
	case j.Watermark < 0 || j.Swept < 0 || j.SweptAt < 0 || j.Swept > j.Watermark:
		return state{}, nil, 0, errors.New("decoding a checkpoint: its times contradict each other")
	case j.Place != nil && (j.Place.Covered < 1 || j.Place.Covered > math.MaxInt32):
		return state{}, nil, 0, errors.New("decoding a checkpoint: its place is none")
	}
	s.progress = progress{
		bounds: bounds{watermark: j.Watermark, floor: j.Watermark},
		swept:  j.Swept, sweptAt: j.SweptAt, newestFirst: j.NewestFirst, lies: j.ShortPages,
	}
	s.stamps = make(map[string]stamp, len(j.Stamps))
	for _, st := range j.Stamps {
		s.stamps[st.Key] = stamp{Updated: st.Updated, Unsure: st.Unsure}
	}
	if p := j.Place; p != nil {
		s.place = &place{
			started: p.Started, newest: p.Newest, whole: p.Whole, loose: p.Loose, order: order(p.Order),
			covered: p.Covered, marks: decodeMarks(p.Marks), front: decodeMarks(p.Front),
		}
	}
	return s, j.Origins, j.Since, nil
}

type shardJSON struct {
	checkpoint.Versioned
	Chats []byte `json:"chats"` // 16 bytes each
}

func encodeShard(ids []chatID) ([]byte, error) {
	j := shardJSON{Versioned: checkpoint.Versioned{Version: checkpointVersion}, Chats: make([]byte, 0, len(chatID{})*len(ids))}
	for _, id := range ids {
		j.Chats = append(j.Chats, id[:]...)
	}
	return checkpoint.Encode(j)
}

func decodeShard(b []byte) ([]chatID, error) {
	var j shardJSON
	if err := checkpoint.Decode(b, checkpointVersion, &j); err != nil {
		return nil, err
	}
	const size = len(chatID{})
	if j.Chats == nil || len(j.Chats)%size != 0 {
		return nil, errors.New("decoding a checkpoint: it has no chats, or the last is cut off")
	}
	ids := make([]chatID, 0, len(j.Chats)/size)
	for chunk := range slices.Chunk(j.Chats, size) {
		ids = append(ids, chatID(chunk))
	}
	return ids, nil
}

// sinceOf is Config.Since as a checkpoint has it.
func sinceOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

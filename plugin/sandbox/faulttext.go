// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// faultJSON is a Fault as it travels: durations are text such as "1.5s".
type faultJSON struct {
	Kind           FaultKind `json:"kind"`
	Endpoint       Endpoint  `json:"endpoint,omitempty"`
	Chat           string    `json:"chat,omitempty"`
	Chats          []string  `json:"chats,omitempty"`
	Talks          []int     `json:"talks,omitempty"`
	After          int       `json:"after,omitempty"`
	Count          int       `json:"count,omitempty"`
	Starts         duration  `json:"starts,omitzero"`
	Lasts          duration  `json:"lasts,omitzero"`
	Probability    float64   `json:"probability,omitempty"`
	Status         int       `json:"status,omitempty"`
	Body           Body      `json:"body,omitempty"`
	ErrorType      string    `json:"error_type,omitempty"`
	Detail         string    `json:"detail,omitempty"`
	RetryAfter     duration  `json:"retry_after,omitzero"`
	RetryAfterIn   Hint      `json:"retry_after_in,omitempty"`
	RetryAfterDate bool      `json:"retry_after_date,omitempty"`
	RetryAfterText string    `json:"retry_after_text,omitempty"`
	Delay          duration  `json:"delay,omitzero"`
	Shift          duration  `json:"shift,omitzero"`
	Lag            duration  `json:"lag,omitzero"`
	Location       string    `json:"location,omitempty"`
	Size           int       `json:"size,omitempty"`
	PastEnd        PastEnd   `json:"past_end,omitempty"`
	Limit          int       `json:"limit,omitempty"`
	Stamp          Stamp     `json:"stamp,omitempty"`
	Next           Next      `json:"next,omitempty"`
	Messages       []string  `json:"messages,omitempty"`
	Every          int       `json:"every,omitempty"`
	From           int       `json:"from,omitempty"`
	To             int       `json:"to,omitempty"`
}

type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// MarshalJSON writes the fault with snake-case names and durations as text.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultJSON{
		Kind:           f.Kind,
		Endpoint:       f.Endpoint,
		Chat:           f.Chat,
		Chats:          f.Chats,
		Talks:          f.Talks,
		After:          f.After,
		Count:          f.Count,
		Starts:         duration(f.Starts),
		Lasts:          duration(f.Lasts),
		Probability:    f.Probability,
		Status:         f.Status,
		Body:           f.Body,
		ErrorType:      f.ErrorType,
		Detail:         f.Detail,
		RetryAfter:     duration(f.RetryAfter),
		RetryAfterIn:   f.RetryAfterIn,
		RetryAfterDate: f.RetryAfterDate,
		RetryAfterText: f.RetryAfterText,
		Delay:          duration(f.Delay),
		Shift:          duration(f.Shift),
		Lag:            duration(f.Lag),
		Location:       f.Location,
		Size:           f.Size,
		PastEnd:        f.PastEnd,
		Limit:          f.Limit,
		Stamp:          f.Stamp,
		Next:           f.Next,
		Messages:       f.Messages,
		Every:          f.Every,
		From:           f.From,
		To:             f.To,
	})
}

// UnmarshalJSON reads what MarshalJSON writes and refuses unknown names. A fault
// with a status needs no kind.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var j faultJSON
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&j); err != nil {
		return err
	}
	if j.Kind == "" && j.Status != 0 {
		j.Kind = FaultStatus
	}
	*f = Fault{
		Kind:           j.Kind,
		Endpoint:       j.Endpoint,
		Chat:           j.Chat,
		Chats:          j.Chats,
		Talks:          j.Talks,
		After:          j.After,
		Count:          j.Count,
		Starts:         time.Duration(j.Starts),
		Lasts:          time.Duration(j.Lasts),
		Probability:    j.Probability,
		Status:         j.Status,
		Body:           j.Body,
		ErrorType:      j.ErrorType,
		Detail:         j.Detail,
		RetryAfter:     time.Duration(j.RetryAfter),
		RetryAfterIn:   j.RetryAfterIn,
		RetryAfterDate: j.RetryAfterDate,
		RetryAfterText: j.RetryAfterText,
		Delay:          time.Duration(j.Delay),
		Shift:          time.Duration(j.Shift),
		Lag:            time.Duration(j.Lag),
		Location:       j.Location,
		Size:           j.Size,
		PastEnd:        j.PastEnd,
		Limit:          j.Limit,
		Stamp:          j.Stamp,
		Next:           j.Next,
		Messages:       j.Messages,
		Every:          j.Every,
		From:           j.From,
		To:             j.To,
	}
	return nil
}

// ParseFault reads a fault from text, as a command line has it: a kind or a
// status, then settings, all separated by commas. The settings have the names
// of the JSON form; a list is separated by |.
//
//	503,retry_after=5s,count=3
//	delay,delay=40s,probability=0.01
//	hang,chats=one|two,lasts=4s
//	late,endpoint=events,lag=60s,every=2
func ParseFault(text string) (Fault, error) {
	fields, last := map[string]any{}, ""
	for i, part := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			switch status, err := strconv.Atoi(name); {
			case i == 0 && err == nil:
				fields["status"] = status
			case i == 0:
				fields["kind"] = name
			case last == "retry_after_text":
				fields[last] = fmt.Sprint(fields[last], ",", part) // an HTTP date has a comma
			default:
				return Fault{}, fmt.Errorf("fault %q: want name=value, got %q", text, part)
			}
			continue
		}
		last = name
		switch name {
		case "after", "count", "status", "size", "probability", "limit", "every", "from", "to":
			fields[name] = json.Number(value)
		case "retry_after_date":
			fields[name] = json.RawMessage(value)
		case "talks":
			ids := []json.Number{}
			for id := range strings.SplitSeq(value, "|") {
				ids = append(ids, json.Number(id))
			}
			fields[name] = ids
		case "chats", "messages":
			fields[name] = strings.Split(value, "|")
		default:
			fields[name] = value
		}
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return Fault{}, fmt.Errorf("reading fault %q: %w", text, err)
	}
	var f Fault
	if err := json.Unmarshal(data, &f); err != nil {
		return Fault{}, fmt.Errorf("reading fault %q: %w", text, err)
	}
	if err := f.Validate(); err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	return f, nil
}

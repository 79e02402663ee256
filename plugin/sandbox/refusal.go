// SPDX-License-Identifier: Apache-2.0

// The bodies of the answers that are no pages.
//
// Documented (chats-api.md, "The history call", rows "403", "404", "429", "500";
// "Finding chats", row "limits"): the JSON of a wrong signature and of a
// channel that is not registered, byte for byte but for the order of the fields;
// the fields of a 429, the wait in it; trace_id in a 500; the detail of a 402; an
// address that is blocked with plain text or nginx HTML.
//
// Known from one client (row "400"): the names error_code, error_description and
// error_type. Assumed: their values, the words of the plain text, the fields of
// the other errors of the CRM, which are those of the 429.

package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// apiError is an error of the history call.
type apiError struct {
	Code        int    `json:"error_code"`
	Description string `json:"error_description"`
	Type        string `json:"error_type"`
	TraceID     string `json:"trace_id,omitempty"`
}

// forbidden is a 403 of the history call.
type forbidden struct {
	Status      int    `json:"status"`
	Code        int    `json:"error_code"`
	Type        string `json:"error_type"`
	Description string `json:"error_description"`
}

// problem is an error of the CRM API, and a 429 of both.
type problem struct {
	Title      string          `json:"title"`
	Status     int             `json:"status"`
	Detail     string          `json:"detail"`
	RetryAfter json.RawMessage `json:"retry_after,omitempty"`
}

const (
	typeInvalidSignature = "ORIGIN_INVALID_SIGNATURE"
	typeNotRegistered    = "ORIGIN_NOT_REGISTERED"
	typeFault            = "SandboxFault" // of no answer of the vendor's

	detailTariff   = "Endpoint not available for current account tariff"
	detailScope    = "Invalid scope"
	detailTooMany  = "Too many requests: slow down"
	textBlocked    = "Access denied: too many requests from this address.\n"
	problemContent = "application/problem+json"
)

func writeError(w http.ResponseWriter, status, code int, kind, format string, args ...any) {
	writeJSON(w, status, apiError{Code: code, Description: fmt.Sprintf(format, args...), Type: kind})
}

func writeProblem(w http.ResponseWriter, status int, format string, args ...any) {
	writeProblemOf(w, problemContent, problem{Status: status, Detail: fmt.Sprintf(format, args...)})
}

func writeProblemOf(w http.ResponseWriter, contentType string, p problem) {
	p.Title = http.StatusText(p.Status)
	body := encode(p)
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(p.Status)
	w.Write(body)
}

func writeInvalidSignature(w http.ResponseWriter) {
	writeJSON(w, http.StatusForbidden, forbidden{
		Code: http.StatusForbidden, Type: typeInvalidSignature, Description: "invalid signature",
	})
}

// writeInvalidScope refuses a token without the scope that a call needs (chats-api.md,
// "Messages of every channel", row "403"). Assumed: which field has the words.
func writeInvalidScope(w http.ResponseWriter) {
	writeProblem(w, http.StatusForbidden, detailScope)
}

func writeNotRegistered(w http.ResponseWriter) {
	writeError(w, http.StatusNotFound, http.StatusNotFound, typeNotRegistered, "NOT_FOUND")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body := encode(v)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// answerStatus answers by FaultStatus.
func (s *Server) answerStatus(x *exchange, f Fault) {
	h := f.hint()
	h.setHeader(x)
	body := f.Body
	if body == "" {
		switch {
		case f.Status == http.StatusForbidden:
			body = BodyEmpty
		case f.Status >= http.StatusBadGateway:
			body = BodyHTML
		default:
			body = BodyJSON
		}
	}
	if body == BodyJSON {
		answerFaultJSON(x, f, h)
		return
	}
	answerOther(x, f.Status, body)
}

// answerFaultJSON answers in the words of the API that was asked.
func answerFaultJSON(x *exchange, f Fault, h hint) {
	detail := f.Detail
	if detail == "" {
		detail = http.StatusText(f.Status) + ", as switched on in the sandbox"
	}
	history := x.request.Endpoint == EndpointHistory
	kind := f.ErrorType
	if kind == "" {
		kind = typeFault
	}
	switch {
	case f.Status == http.StatusTooManyRequests:
		answerTooMany(x, detail, h)
	case history && f.Status == http.StatusForbidden:
		writeJSON(x, f.Status, forbidden{Code: f.Status, Type: kind, Description: detail})
	case history:
		e := apiError{Code: f.Status, Description: detail, Type: kind}
		if f.Status == http.StatusInternalServerError {
			e.TraceID = newID()
		}
		writeJSON(x, f.Status, e)
	case f.Status == http.StatusPaymentRequired && f.Detail == "":
		writeProblem(x, f.Status, detailTariff)
	default:
		writeProblem(x, f.Status, "%s", detail)
	}
}

// answerOther answers with a body that no fault has words for.
func answerOther(x *exchange, status int, body Body) {
	switch body {
	case BodySignature:
		writeInvalidSignature(x)
	case BodyNotRegistered:
		writeNotRegistered(x)
	case BodyScope:
		writeInvalidScope(x)
	case BodyText:
		x.answer(status, "text/plain", []byte(textBlocked))
	case BodyHTML:
		answerNginx(x, status)
	default:
		x.WriteHeader(status)
	}
}

// answerForeign answers as for a chat of another channel.
func (s *Server) answerForeign(x *exchange, f Fault) {
	s.ledger.refuse(refusedForeign)
	f.Status = http.StatusForbidden
	if f.Body == BodySignature || f.Body == "" {
		f.Body = BodyJSON
		if f.ErrorType == "" {
			f.ErrorType = typeInvalidSignature
		}
		if f.Detail == "" {
			f.Detail = "invalid signature"
		}
	}
	s.answerStatus(x, f)
}

// answerNginx answers with the page that nginx makes for a status.
func answerNginx(x *exchange, status int) {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	x.answer(status, "text/html", []byte("<html>\r\n<head><title>"+title+"</title></head>\r\n<body>\r\n<center><h1>"+title+
		"</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"))
}

// hint is how long an answer tells to wait, and where.
type hint struct {
	after time.Duration
	text  string
	date  bool
	in    Hint
}

func (f Fault) hint() hint {
	return hint{f.RetryAfter, f.RetryAfterText, f.RetryAfterDate, f.RetryAfterIn}
}

// seconds rounds up: a client that obeys must not come back too early.
func (h hint) seconds() string {
	return strconv.FormatInt(int64((h.after+time.Second-1)/time.Second), 10)
}

func (h hint) setHeader(x *exchange) {
	switch {
	case h.in == HintBody:
	case h.text != "":
		x.Header().Set("Retry-After", h.text)
	case h.after <= 0:
	case h.date:
		at := x.now.Add(h.after + time.Second - time.Nanosecond).UTC()
		x.Header().Set("Retry-After", at.Format(http.TimeFormat))
	default:
		x.Header().Set("Retry-After", h.seconds())
	}
}

// inBody returns retry_after, nil if there is none.
func (h hint) inBody() json.RawMessage {
	switch {
	case h.in != HintBody && h.in != HintBoth:
		return nil
	case h.text != "":
		if json.Valid([]byte(h.text)) {
			return json.RawMessage(h.text)
		}
		return encode(h.text)
	case h.after > 0:
		return json.RawMessage(h.seconds())
	}
	return nil
}

// answerTooMany answers 429, as every API of the vendor does.
func answerTooMany(x *exchange, detail string, h hint) {
	contentType := problemContent
	if x.request.Endpoint == EndpointHistory {
		contentType = "application/json"
	}
	writeProblemOf(x, contentType, problem{Status: http.StatusTooManyRequests, Detail: detail, RetryAfter: h.inBody()})
}

// SPDX-License-Identifier: Apache-2.0

package component

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// The fields of every input that say how the API is called. They are a public
// contract.
const (
	fieldRequestsPerSecond = "requests_per_second"
	fieldBurst             = "burst"
	fieldRateLimit         = "rate_limit"
	fieldTimeout           = "timeout"
	fieldBackoff           = "backoff"
	fieldProxyURL          = "proxy_url"
	fieldTLS               = "tls"
)

// CallFields returns the fields of the limits. requestsPerSecond says what the API
// allows, and givingUp what happens when a call gives up: the inputs differ in that.
func CallFields(requestsPerSecond, givingUp string) []*service.ConfigField {
	return []*service.ConfigField{
		service.NewFloatField(fieldRequestsPerSecond).
			Description("How many requests may be sent in a second, retries included. `0` means no limit of its own. " + requestsPerSecond).
			Default(5.0),
		service.NewIntField(fieldBurst).
			Description("How many requests may be sent at once after a quiet time.").
			Default(1).
			Advanced(),
		service.NewStringField(fieldRateLimit).
			Description("The label of a `rate_limit` resource that is asked as well before each request: for a limit that several processes share. Such resources count in fixed windows, so grant at most half of what the API allows per window if it must never be exceeded, or keep `requests_per_second` low enough besides.").
			Optional().
			Advanced(),
		service.NewDurationField(fieldTimeout).
			Description("How long one attempt may take, from the moment the limiter grants it to the end of the answer.").
			Default("30s").
			Advanced(),
		service.NewBackOffField(fieldBackoff, true, &backoff.ExponentialBackOff{
			InitialInterval: 500 * time.Millisecond,
			MaxInterval:     30 * time.Second,
		}).
			Description("How long to wait between attempts, with jitter. " + givingUp).
			Advanced(),
	}
}

// NetworkFields returns the fields of the connection.
func NetworkFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringField(fieldProxyURL).
			Description("An HTTP or SOCKS5 proxy to reach the API through. Without it the environment's `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` count.").
			Optional().
			Advanced().
			Example("http://localhost:8080"),
		service.NewTLSToggledField(fieldTLS),
	}
}

// NewTransport makes the transport. It is a variable for the simulation, which has no
// network.
var NewTransport = apicall.NewTransport

// CallConfig is how an API is called. A component embeds it in its configuration.
type CallConfig struct {
	requestsPerSecond float64
	burst             int
	rateLimit         string
	timeout           time.Duration
	Backoff           apicall.Backoff
	Transport         *http.Transport
}

// Call reads the fields above, and makes a transport for this many calls side by side.
func (r *FieldReader) Call(l Labels, parallel int) CallConfig {
	c := CallConfig{
		requestsPerSecond: Read(r, r.Conf.FieldFloat, fieldRequestsPerSecond),
		burst:             r.Positive(fieldBurst),
		rateLimit:         r.Text(fieldRateLimit),
		timeout:           r.Duration(fieldTimeout, time.Millisecond),
		Backoff: apicall.Backoff{
			InitialInterval: r.durationAt(1, fieldBackoff, "initial_interval"),
			MaxInterval:     r.durationAt(1, fieldBackoff, "max_interval"),
			MaxElapsedTime:  r.durationAt(0, fieldBackoff, "max_elapsed_time"),
		},
	}
	r.Require(c.requestsPerSecond >= 0 && !math.IsInf(c.requestsPerSecond, 0),
		"%s: want 0 or more, where 0 means no limit, got %v", fieldRequestsPerSecond, c.requestsPerSecond)
	r.Require(c.Backoff.MaxInterval <= 1 || c.Backoff.MaxInterval >= c.Backoff.InitialInterval,
		"%s: want a max_interval that is no less than initial_interval, got %s and %s", fieldBackoff, c.Backoff.MaxInterval, c.Backoff.InitialInterval)
	r.Require(c.rateLimit == "" || l.HasRateLimit(c.rateLimit),
		"%s: there is no rate limit resource with the label %q: add it under rate_limit_resources, or correct the label", fieldRateLimit, c.rateLimit)
	c.Transport = r.transport(parallel)
	return c
}

// transport makes the transport. It is nil if something is wrong with its fields.
func (r *FieldReader) transport(parallel int) *http.Transport {
	tlsConf, enabled, err := r.Conf.FieldTLSToggled(fieldTLS)
	if err != nil && (!r.Linting || !elsewhere(err)) {
		r.Fail(fmt.Errorf("%s: %w", fieldTLS, err))
	}
	var custom *tls.Config
	if enabled {
		custom = tlsConf
	}
	transport, err := NewTransport(r.Text(fieldProxyURL), custom)
	if err != nil {
		r.Fail(err) // it names proxy_url, and does not repeat its value
		return nil
	}
	transport.MaxIdleConnsPerHost = max(transport.MaxIdleConnsPerHost, parallel)
	transport.MaxIdleConns = max(transport.MaxIdleConns, transport.MaxIdleConnsPerHost)
	return transport
}

// Caller returns how calls are made, with a log line where the shared limit can't be asked.
// All calls of an input share its limiter.
func (c *CallConfig) Caller(mgr *service.Resources, observe func(apicall.Attempt)) apicall.Config {
	return apicall.Config{
		HTTP: &http.Client{Transport: c.Transport},
		Limiter: apicall.NewLimiter(apicall.LimiterConfig{
			RequestsPerSecond: c.requestsPerSecond,
			Burst:             c.burst,
			Shared:            sharedLimit(mgr, c.rateLimit),
		}),
		Timeout: c.timeout,
		Backoff: c.Backoff,
		Observe: observe,

		LimitFailed: limitLog(mgr.Logger()),
	}
}

// OnlyOnce makes calls that try once: a connection test wants an answer, not
// patience.
func OnlyOnce(conf apicall.Config) apicall.Config {
	conf.Backoff.MaxElapsedTime = 1
	return conf
}

// sharedLimit returns how the limiter asks a rate limit resource; nil without one.
func sharedLimit(mgr *service.Resources, label string) func(context.Context) (time.Duration, error) {
	if label == "" {
		return nil
	}
	return func(ctx context.Context) (wait time.Duration, err error) {
		if accessErr := mgr.AccessRateLimit(ctx, label, func(r service.RateLimit) { wait, err = r.Access(ctx) }); accessErr != nil {
			err = accessErr
		}
		if err != nil {
			return 0, fmt.Errorf("asking rate limit %q: %w", label, err)
		}
		if wait > 0 {
			// In the last millisecond of its window, redis says that there is
			// 0 to wait, which means a grant. A caller that sleeps exactly as
			// long as it was told would ask again in just that millisecond.
			wait += time.Millisecond
		}
		return wait, nil
	}
}

// SPDX-License-Identifier: Apache-2.0

package amojo_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// inMemory stands for the network.
type inMemory struct{}

func (inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Body: io.NopCloser(strings.NewReader(`{"messages":[
			{"timestamp":1700000060,"sender":{"id":"manager"},"receiver":{"id":"ann"},"message":{"id":"2","type":"text","text":"Hi"}},
			{"timestamp":1700000000,"sender":{"id":"ann"},"message":{"id":"1","type":"text","text":"Hello"}}]}`)),
		Request: r,
	}, nil
}

func ExampleClient_History() {
	client, err := amojo.NewClient(amojo.Config{
		ScopeID: "f62a0162-46a7-430e-b06c-0ef798d76a21_52fd2a28-d2eb-4bd8-b862-a67934927b38",
		Secret:  "the channel's secret",
		Call: apicall.New(apicall.Config{
			HTTP:    &http.Client{Transport: inMemory{}},
			Limiter: apicall.NewLimiter(apicall.LimiterConfig{RequestsPerSecond: 5}),
			Timeout: 30 * time.Second,
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	page, err := client.History(context.Background(), "30477717-9f3c-4d3f-8101-60327e14dc48", 0, amojo.MaxLimit)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range page.Items {
		fmt.Println(item.Timestamp, item.ID, item.Type, item.Sender.ID, item.HasReceiver)
	}
	// Output:
	// 1700000060 2 text manager true
	// 1700000000 1 text ann false
}

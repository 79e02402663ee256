// SPDX-License-Identifier: Apache-2.0

//go:build !core || amqp

package main

// The amqp_0_9 input and output, which RabbitMQ speaks.
import _ "github.com/redpanda-data/connect/v4/public/components/amqp09"

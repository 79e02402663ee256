// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"errors"
	"time"
)

var errOnlyLinux = errors.New("this is measured on Linux only: choose other figures with -only")

func cpuTime() (time.Duration, error) { return 0, errOnlyLinux }

func peakMemory() (int, error) { return 0, errOnlyLinux }

func forgetPeakMemory() error { return errOnlyLinux }

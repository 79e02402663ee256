// SPDX-License-Identifier: Apache-2.0

// Command kommo-connect is Redpanda Connect with the kommo_chat_history input.
//
// It has the command line of every Connect build, and says more of what is wrong
// with a configuration (lint.go, listen.go), of the account behind it (check.go) and of itself (about.go). Its components come from the
// imports in the other files of this folder, one file per family: delete a file
// to leave its family out. The build tag core leaves out all that talk to a
// system of their own; a further tag, named like the file, takes one back in.
// elasticsearch_v9 is in no build without its tag.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/internal/heapfloor"
)

const (
	name          = "kommo-connect"
	documentation = "https://github.com/kommo-connect/kommo-connect"
)

// Set by the linker: -X main.version=1.2.3 -X main.dateBuilt=2026-01-31T12:00:00Z.
var version, dateBuilt string

func main() {
	heapfloor.Keep()
	v, date := stamp()
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	named := &configs{args: os.Args[1:]}
	named.tell(command)
	setHelp()
	checked := checkFine

	code, err := service.RunCLIToCode(
		context.Background(),
		service.CLIOptSetProductName(name),
		service.CLIOptSetBinaryName(name),
		service.CLIOptSetVersion(v, date),
		service.CLIOptSetDocumentationURL(documentation),
		service.CLIOptSetDefaultConfigPaths(defaultPaths...),
		service.CLIOptSetMainSchemaFrom(schema),
		service.CLIOptAddTeeLogger(newListenGuard()),
		service.CLIOptAddCommand(checkCommand(&checked)),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if asksVersion(os.Args[1:]) {
		printMadeOf(os.Stdout)
	}
	if command == "lint" && named.lintTypes(os.Stderr) {
		code = max(code, 1)
	}
	os.Exit(max(code, checked))
}

// schema returns what a configuration may have.
func schema() *service.ConfigSchema {
	v, date := stamp()
	s := service.GlobalEnvironment().FullConfigSchema(v, date)
	s.SetFieldDefault(map[string]any{"@service": name}, "logger", "static_fields")
	s.SetFieldDefault("/"+name, "http", "root_path")
	return s
}

// stamp returns the version and the build date: what the linker set or, in a
// binary made by a plain go build or go install, what the go command recorded.
func stamp() (v, date string) {
	v, date = version, dateBuilt
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.time" && date == "" {
				date = s.Value
			}
		}
	}
	return v, date
}

// SPDX-License-Identifier: Apache-2.0

// Package servers starts the real servers that the integration tests talk to: Apache Kafka, OpenSearch, Elasticsearch and
// Apicurio Registry from Maven Central, Redis and PostgreSQL from the system's packages. Each listens on a free loopback
// port, keeps its data in the test's temporary folder, and is stopped when the test ends. DuckDB, from PyPI, is no server
// and reads files.
//
// The Go files are behind the build tag `integration`.
package servers

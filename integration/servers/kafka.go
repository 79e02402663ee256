// SPDX-License-Identifier: Apache-2.0

//go:build integration

package servers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Kafka is one Apache Kafka broker that is its own KRaft controller.
type Kafka struct {
	*Process
	Address string
}

// StartKafka starts a broker with an empty log. Topics must be created; a producer's request creates none. What a topic's
// retention says is to go is gone in a second or two, not in minutes.
func StartKafka(tb testing.TB) *Kafka {
	tb.Helper()
	dir := serverDir(tb, "kafka")
	classes := filepath.Join(mavenServers(tb), "kafka", "lib", "*")
	java := filepath.Join(java(tb), "bin", "java")
	port, controller := freePort(tb), freePort(tb)

	config := filepath.Join(dir, "server.properties")
	writeFile(tb, config, fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
log.dirs=%[3]s/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.initial.task.delay.ms=1000
log.retention.check.interval.ms=1000
`, port, controller, dir))
	own(tb, dir)
	run(tb, dir, java, "-Xmx128m", "-cp", classes, "kafka.tools.StorageTool", "format", "--cluster-id", "kommo-connect-tests-00", "--config", config)

	address := fmt.Sprintf("127.0.0.1:%d", port)
	kafka := &Kafka{Address: address, Process: &Process{
		name:    "Kafka " + kafkaVersion,
		logPath: filepath.Join(dir, "kafka.out"),
		command: func() *exec.Cmd {
			cmd := exec.Command(java, "-Xms256m", "-Xmx256m", "-cp", classes, "kafka.Kafka", config)
			cmd.Dir = dir
			return cmd
		},
		ready:   portOpen(address),
		timeout: 2 * time.Minute,
	}}
	tb.Cleanup(func() { kafka.Stop(tb) })
	kafka.Start(tb)
	return kafka
}

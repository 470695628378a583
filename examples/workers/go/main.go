// A worker in Go, with franz-go alone.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	brokers = cmp.Or(os.Getenv("BROKERS"), "localhost:9092")
	group   = cmp.Or(os.Getenv("GROUP"), "kitchen")
	tasks   = cmp.Or(os.Getenv("TASKS"), "restaurant.prepare")
	results = cmp.Or(os.Getenv("RESULTS"), "kallback.results")
)

func header(record *kgo.Record, name string) []byte {
	for _, h := range record.Headers {
		if h.Key == name {
			return h.Value
		}
	}
	return nil
}

// Other records are skipped: a worker must not crash on them.
func isTask(record *kgo.Record) bool {
	return string(header(record, "kallback-version")) == "1" &&
		string(header(record, "kallback-reply-to")) == results &&
		header(record, "kallback-token") != nil &&
		header(record, "kallback-task-id") != nil
}

func isLate(task *kgo.Record) bool {
	deadline, err := strconv.ParseInt(string(header(task, "kallback-deadline")), 10, 64)
	return err == nil && time.Now().UnixMilli() > deadline
}

// badOrder is what the caller should know.
type badOrder struct{ error }

func cook(request []byte) ([]byte, error) {
	var order struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(request, &order); err != nil {
		return nil, badOrder{err}
	}
	if order.ID == "" {
		return nil, badOrder{errors.New("an order has an id")}
	}
	return json.Marshal(map[string]int{"minutes": 12})
}

// cookSafely turns a panic of the work into an error: its caller should know, and all other tasks go on.
func cookSafely(request []byte) (value []byte, err error) {
	defer func() {
		if bug := recover(); bug != nil {
			value, err = nil, fmt.Errorf("panic: %v\n%s", bug, debug.Stack())
		}
	}()
	return cook(request)
}

// failure is the problem object that says why a task failed.
func failure(err error) map[string]any {
	if errors.As(err, new(badOrder)) {
		return map[string]any{"type": "BadOrder", "status": 422, "detail": err.Error()}
	}
	log.Print(err)
	message, _, _ := strings.Cut(err.Error(), "\n")
	return map[string]any{"type": "urn:kallback:unexpected-error", "status": 500, "detail": message}
}

func answer(task *kgo.Record) *kgo.Record {
	status := "completed"
	value, err := cookSafely(task.Value)
	if err != nil {
		status = "failed"
		value, _ = json.Marshal(failure(err))
	}
	return &kgo.Record{
		Topic: results,
		Key:   header(task, "kallback-task-id"),
		Value: value,
		Headers: []kgo.RecordHeader{
			{Key: "kallback-token", Value: header(task, "kallback-token")},
			{Key: "kallback-status", Value: []byte(status)},
		},
	}
}

func main() {
	stops, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(tasks),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(10*time.Second),
		kgo.BlockRebalanceOnPoll(),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseAllowingRebalance() // leaves the group: another worker goes on at once
	ctx := context.Background()           // what was read is done to its end
	for {
		fetches := client.PollFetches(stops)
		if stops.Err() != nil {
			return
		}
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		var answers []*kgo.Record
		fetches.EachRecord(func(record *kgo.Record) {
			if !isTask(record) {
				log.Printf("skipped, no task: %s[%d] offset %d", record.Topic, record.Partition, record.Offset)
			} else if !isLate(record) {
				answers = append(answers, answer(record))
			}
		})
		if err := client.ProduceSync(ctx, answers...).FirstErr(); err != nil {
			log.Fatal(err) // not acknowledged: Kafka delivers the tasks again
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			log.Print(err)
		}
		client.AllowRebalance()
	}
}

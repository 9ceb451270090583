// Writes BoltDB files with the real bbolt, and beside each what is in it as JSON, by bbolt's own reading.
//
//	go run . write FOLDER          the recorded files of the tests
//	go run . random FOLDER COUNT   as many files of random history
//	go run . hold FILE             open a file as a running service does, until standard input ends
//
// In the JSON, keys and values are base64 and nested buckets objects; "shape" says what kinds of pages the file has.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

func main() {
	log.SetFlags(0)
	switch command := os.Args[1]; command {
	case "write":
		for name, fill := range recorded {
			write(filepath.Join(os.Args[2], name), fill)
		}
	case "random":
		count, err := strconv.Atoi(os.Args[3])
		check(err)
		for seed := range count {
			write(filepath.Join(os.Args[2], fmt.Sprintf("random-%d", seed)), random(int64(seed)))
		}
	case "hold":
		db, err := bolt.Open(os.Args[2], 0o644, nil)
		check(err)
		fmt.Println("held")
		io.Copy(io.Discard, os.Stdin)
		check(db.Close())
	default:
		log.Fatalf("unknown command %q", command)
	}
}

// A history fills a file step by step; each step is a transaction of its own, as with the original.
type history struct {
	options bolt.Options
	steps   func(step func(func(*bolt.Tx) error))
}

var recorded = map[string]history{
	"empty":    {steps: func(step func(func(*bolt.Tx) error)) {}},
	"original": {steps: original},
	"grown":    {options: bolt.Options{PageSize: 1024}, steps: grown},
	"unsynced": {options: bolt.Options{PageSize: 1024, NoFreelistSync: true}, steps: nested},
}

// write makes NAME.db and NAME.json.
func write(name string, made history) {
	file := name + ".db"
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		check(err)
	}
	db, err := bolt.Open(file, 0o644, &made.options)
	check(err)
	made.steps(func(step func(*bolt.Tx) error) { check(db.Update(step)) })
	check(db.View(func(tx *bolt.Tx) error {
		for problem := range tx.Check() {
			return problem
		}
		found := map[string]any{"shape": shape(db, tx), "buckets": contents(tx.Cursor(), tx.Bucket)}
		data, err := json.MarshalIndent(found, "", " ")
		check(err)
		return os.WriteFile(name+".json", append(data, '\n'), 0o644)
	}))
	check(db.Close())
}

func shape(db *bolt.DB, tx *bolt.Tx) map[string]int {
	found := map[string]int{"branches": 0, "overflow": 0, "inline": 0, "free": db.Stats().FreePageN}
	check(tx.ForEach(func(_ []byte, bucket *bolt.Bucket) error {
		stats := bucket.Stats()
		found["branches"] += stats.BranchPageN
		found["overflow"] += stats.LeafOverflowN + stats.BranchOverflowN
		found["inline"] += stats.InlineBucketN
		return nil
	}))
	return found
}

func contents(cursor *bolt.Cursor, nested func([]byte) *bolt.Bucket) map[string]any {
	found := map[string]any{}
	for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
		if value != nil {
			found[text(key)] = text(value)
		} else {
			bucket := nested(key)
			found[text(key)] = contents(bucket.Cursor(), bucket.Bucket)
		}
	}
	return found
}

func text(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// buckets makes those of the original, which it makes at each start.
func buckets(tx *bolt.Tx) error {
	for _, name := range []string{"jobs", "history"} {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}

func put(bucket, key, value string) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), []byte(value)) }
}

func id(number int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", number*2654435761%(1<<32), number)
}

// original is what 0.4.4 leaves after some weeks: jobs that changed their status twice each, one that failed, one that
// a restart left running, one never begun, and all events it has; one key whose value is no JSON.
func original(step func(func(*bolt.Tx) error)) {
	step(buckets)
	for number := 1; number <= 12; number++ {
		at := fmt.Sprintf("2025-11-%02dT09:00:%02d", number, number)
		model := fmt.Sprintf("acme/Model-%d", number)
		target := fmt.Sprintf("acme-model-%d", number)
		job := func(status, more, seconds string) string {
			return fmt.Sprintf(`{"id":%q,"type":"weight_install","status":%q,"payload":{"hfModelId":%q,"revision":"","target":%q}%s,`+
				`"createdAt":"%s.123456789Z","updatedAt":"%s.%sZ"}`, id(number), status, model, target, more, at, at, seconds)
		}
		step(put("jobs", id(number), job("pending", "", "123456789")))
		if number == 12 {
			break
		}
		step(put("jobs", id(number), job("running", "", "2")))
		switch {
		case number == 11:
		case number%5 == 0:
			cause := "failed to download model.safetensors: unexpected status 404"
			step(put("jobs", id(number), job("failed", fmt.Sprintf(`,"error":%q`, cause), "9")))
			step(event("weight_install_failed-"+id(number), "weight_install_failed", model, fmt.Sprintf(`{"error":%q}`, cause), at+".95+01:00"))
		default:
			result := fmt.Sprintf(`{"name":%q,"path":"/mnt/models/%s","sizeBytes":%d}`, target, target, number*1000000007)
			step(put("jobs", id(number), job("completed", `,"result":`+result, "9")))
			step(event("weight_install_completed-"+id(number), "weight_install_completed", model, result, at+".95Z"))
			step(event(fmt.Sprint(1761987600000000000+number), "model_activated", fmt.Sprintf("model-%d", number), `{"action":"created"}`, at+".99Z"))
		}
	}
	step(event("1762700000000000001", "model_deactivated", "", `{"action":"deleted"}`, "2025-11-20T10:00:00.000000001Z"))
	step(event("1762700000000000002", "weight_deleted", "acme-model-2", "", "2025-11-20T10:01:00Z"))
	step(put("history", "broken", "{not JSON"))
}

func event(key, kind, model, metadata, at string) func(*bolt.Tx) error {
	value := fmt.Sprintf(`{"id":%q,"event":%q`, key, kind)
	if model != "" {
		value += fmt.Sprintf(`,"modelId":%q`, model)
	}
	if metadata != "" {
		value += `,"metadata":` + metadata
	}
	return put("history", key, value+fmt.Sprintf(`,"createdAt":%q}`, at))
}

// grown has trees of three levels, values that run over several pages, and pages that are free again.
func grown(step func(func(*bolt.Tx) error)) {
	step(buckets)
	for round := range 4 {
		step(func(tx *bolt.Tx) error {
			for number := range 60 {
				key := fmt.Sprintf("key-%04d-which-is-long-enough-that-branches-fill", round*60+number)
				if err := tx.Bucket([]byte("jobs")).Put([]byte(key), []byte(key[:40+number%8])); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, size := range []int{900, 3000, 9000} {
		value := make([]byte, size)
		for index := range value {
			value[index] = byte(index * size)
		}
		step(put("history", fmt.Sprint("large-", size), string(value)))
	}
	step(func(tx *bolt.Tx) error {
		for number := 60; number < 160; number++ {
			key := fmt.Sprintf("key-%04d-which-is-long-enough-that-branches-fill", number)
			if err := tx.Bucket([]byte("jobs")).Delete([]byte(key)); err != nil {
				return err
			}
		}
		return nil
	})
	step(put("history", "large-9000", "small now"))
	nested(step)
}

// nested has buckets within buckets: empty, small enough to lie in their parent's page, and not.
func nested(step func(func(*bolt.Tx) error)) {
	step(buckets)
	step(func(tx *bolt.Tx) error {
		above := tx.Bucket([]byte("jobs"))
		for depth, count := range []int{1, 0, 40, 3} {
			bucket, err := above.CreateBucketIfNotExists(fmt.Appendf(nil, "within-%d", depth))
			if err != nil {
				return err
			}
			for number := range count {
				if err := bucket.Put(fmt.Appendf(nil, "%d", number), []byte("a value of some length")); err != nil {
					return err
				}
			}
			above = bucket
		}
		return nil
	})
}

// random puts and deletes at random in buckets at random, so that trees grow, split, shrink and leave free pages.
func random(seed int64) history {
	rng := rand.New(rand.NewSource(seed))
	options := bolt.Options{
		PageSize:       1024 << rng.Intn(4),
		NoFreelistSync: rng.Intn(2) == 0,
		FreelistType:   []bolt.FreelistType{bolt.FreelistArrayType, bolt.FreelistMapType}[rng.Intn(2)],
	}
	return history{options: options, steps: func(step func(func(*bolt.Tx) error)) {
		step(buckets)
		for range 1 + rng.Intn(30) {
			step(func(tx *bolt.Tx) error {
				bucket := tx.Bucket([]byte([]string{"jobs", "history"}[rng.Intn(2)]))
				for range rng.Intn(3) {
					inner, err := bucket.CreateBucketIfNotExists(fmt.Appendf(nil, "bucket-%d", rng.Intn(4)))
					if err != nil {
						return err
					}
					bucket = inner
				}
				for range rng.Intn(80) {
					key := fmt.Appendf(nil, "%0*d", 1+rng.Intn(60), rng.Intn(300))
					if rng.Intn(3) == 0 {
						if err := bucket.Delete(key); err != nil {
							return err
						}
						continue
					}
					value := make([]byte, rng.Intn(1<<rng.Intn(13)))
					rng.Read(value)
					if err := bucket.Put(key, value); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

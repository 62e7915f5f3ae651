// pgxpool, the pool of pgx v4: MODE TASKS POOL SECONDS, as opi-bench pool.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v4/pgxpool"
)

const sql = "SELECT id, name, payload FROM item WHERE id = $1"

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func cpu() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func residentMB() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	must(err)
	var total, resident float64
	fmt.Sscan(string(text), &total, &resident)
	return resident * float64(os.Getpagesize()) / 1e6
}

type task struct {
	count uint64 // read by others while it runs
	waits []time.Duration
	from  int // waits before the measuring
}

func main() {
	mode := os.Args[1]
	tasks, _ := strconv.Atoi(os.Args[2])
	size, _ := strconv.Atoi(os.Args[3])
	seconds, _ := strconv.ParseFloat(os.Args[4], 64)
	ctx := context.Background()

	begun := time.Now()
	config, err := pgxpool.ParseConfig("")
	must(err)
	config.MaxConns = int32(size)
	config.MinConns = int32(size)
	pool, err := pgxpool.ConnectConfig(ctx, config)
	must(err)
	var opened sync.WaitGroup
	conns := make([]*pgxpool.Conn, size)
	for i := range conns {
		opened.Add(1)
		go func(i int) {
			defer opened.Done()
			conns[i], err = pool.Acquire(ctx)
			must(err)
		}(i)
	}
	opened.Wait()
	startup := time.Since(begun)
	for _, conn := range conns {
		conn.Release()
	}

	var stopped, measuring int32
	all := make([]task, tasks)
	var ended sync.WaitGroup
	for number := range all {
		ended.Add(1)
		go func(own *task, seed uint32) {
			defer ended.Done()
			measured := false
			var id int
			var name, payload string
			for round := uint32(0); atomic.LoadInt32(&stopped) == 0; round++ {
				if !measured && atomic.LoadInt32(&measuring) != 0 {
					measured = true
					own.from = len(own.waits)
				}
				timed := mode == "query" || round%64 == 0
				var asked time.Time
				if timed {
					asked = time.Now()
				}
				conn, err := pool.Acquire(ctx)
				must(err)
				if timed {
					own.waits = append(own.waits, time.Since(asked))
				}
				if mode == "query" {
					seed = seed*1664525 + 1013904223
					must(conn.QueryRow(ctx, sql, int(seed>>8)%10000+1).Scan(&id, &name, &payload))
				} else if tasks > 1 {
					runtime.Gosched()
				}
				conn.Release()
				atomic.AddUint64(&own.count, 1)
			}
		}(&all[number], uint32(number+1))
	}
	total := func() (sum uint64) {
		for i := range all {
			sum += atomic.LoadUint64(&all[i].count)
		}
		return
	}
	time.Sleep(time.Duration(min(seconds/4, 0.5) * 1e9))
	before, cpuBefore, start := total(), cpu(), time.Now()
	atomic.StoreInt32(&measuring, 1)
	time.Sleep(time.Duration(seconds * 1e9))
	ops, used, wall := float64(total()-before), cpu()-cpuBefore, time.Since(start).Seconds()
	resident := residentMB()
	atomic.StoreInt32(&stopped, 1)
	ended.Wait()

	var waits []time.Duration
	sum := time.Duration(0)
	for i := range all {
		waits = append(waits, all[i].waits[all[i].from:]...)
	}
	for _, wait := range waits {
		sum += wait
	}
	sort.Slice(waits, func(a, b int) bool { return waits[a] < waits[b] })
	at := func(share float64) float64 { return float64(waits[int(share*float64(len(waits)-1))].Nanoseconds()) / 1e3 }
	closing := time.Now()
	pool.Close()
	fmt.Printf("{\"peer\": \"pgx\", \"mode\": %q, \"tasks\": %d, \"pool\": %d, \"ops_s\": %f, \"us_op\": %f, \"cpu_us_op\": %f, "+
		"\"wait_mean_us\": %f, \"wait_p50_us\": %f, \"wait_p99_us\": %f, \"wait_p999_us\": %f, \"startup_ms\": %f, "+
		"\"close_ms\": %f, \"rss_mb\": %f}\n", mode, tasks, size, ops/wall, wall/ops*1e6, used/ops*1e6,
		float64(sum.Nanoseconds())/float64(len(waits))/1e3, at(0.5), at(0.99), at(0.999),
		float64(startup.Microseconds())/1e3, float64(time.Since(closing).Microseconds())/1e3, resident)
}

func min(a, b float64) float64 {
	if a < b {
		return a
	}
	return b
}

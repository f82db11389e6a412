// A nil map written to, in a goroutine of three.
package main

import (
	"fmt"
	"time"
)

type feeder struct{ seen map[string]int }

func (f *feeder) note(k string) { f.seen[k]++ }

func main() {
	f := &feeder{}
	fmt.Println("step 1 loss 2.31")
	for i := 0; i < 2; i++ {
		go func() { time.Sleep(time.Minute) }()
	}
	time.Sleep(10 * time.Millisecond)
	f.note("a")
}

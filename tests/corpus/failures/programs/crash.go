// crash.go -- a Go data server that indexes beyond its shards.
package main

import "fmt"

type shards struct{ offsets []int }

func (s *shards) at(i int) int { return s.offsets[i] }

func main() {
	fmt.Println("serving 3 shards")
	s := &shards{offsets: []int{0, 10, 20}}
	fmt.Println(s.at(len(s.offsets) + 1))
}

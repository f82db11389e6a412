// Everybody waits.
package main

import "fmt"

func main() {
	fmt.Println("step 1 loss 2.31")
	c := make(chan int)
	c <- 1
}

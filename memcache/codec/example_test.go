package codec_test

import (
	"errors"
	"fmt"
	"log"
	"strings"

	"lintel.dev/memcache/codec"
)

// A value that a Python program pickled is refused.
func ExampleForeign() {
	python, err := codec.Foreign("python")
	if err != nil {
		log.Fatal(err)
	}
	v, err := python.Decode([]byte("clé"), 16)
	fmt.Println(v, err)
	_, err = python.Decode([]byte("cos\nsystem\n"), 1)
	fmt.Println(errors.Is(err, codec.ErrExecutable), err)
	// Output:
	// clé <nil>
	// true codec: executable encoding refused: python pickle (flags 0x1)
}

func ExampleCompressed() {
	c := codec.Compressed(codec.JSON[string](), 1024, codec.Zlib)
	long := strings.Repeat("the same ", 1000)
	data, flags, err := c.Encode(long)
	fmt.Println(len(long) > 10*len(data), err)
	back, err := c.Decode(data, flags)
	fmt.Println(back == long, err)
	// Output:
	// true <nil>
	// true <nil>
}

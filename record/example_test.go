package record_test

import (
	"fmt"

	"attls"
	"attls/record"
)

// A Writer cuts handshake messages into records, a Reader puts them together again,
// however the octets are divided.
func Example() {
	w := record.NewWriter(record.WriterSettings{MaxPlaintext: 3})
	if err := w.Handshake([]byte{byte(attls.TypeFinished), 0, 0, 4, 'd', 'o', 'n', 'e'}); err != nil {
		fmt.Println(err)
		return
	}
	w.Flush()
	octets := w.Output()
	fmt.Println(len(octets), "octets in 3 records")

	r := record.NewReader(record.Settings{})
	for _, b := range octets {
		r.Reserve(1)[0] = b
		r.Commit(1)
		for item, ok, err := r.Next(); ok || err != nil; item, ok, err = r.Next() {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Printf("%v: %s\n", item.Type, item.Data[4:])
		}
	}
	// Output:
	// 23 octets in 3 records
	// handshake: done
}

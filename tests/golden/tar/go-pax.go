// Writes go-pax.tar: headers of every interesting length in the format that BuildKit and containerd use. go run go-pax.go > go-pax.tar
package main

import (
	"archive/tar"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	w := tar.NewWriter(os.Stdout)
	lp := func(c string, n int) string { return strings.Repeat(c, n) }
	t := time.Unix(1700000000, 0)
	hs := []tar.Header{
		{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0755, ModTime: t},
		{Typeflag: tar.TypeReg, Name: "etc/f", Mode: 04644, Uid: 1, Gid: 2097151, ModTime: t},
		{Typeflag: tar.TypeReg, Name: "etc/g", Mode: 0644, Uid: 2097152, Gid: 4294967294, ModTime: t},
		{Typeflag: tar.TypeSymlink, Name: "s", Linkname: "../x/", Mode: 0777, ModTime: t},
		{Typeflag: tar.TypeSymlink, Name: "s", Linkname: lp("t", 101), Mode: 0777, ModTime: t},
		{Typeflag: tar.TypeSymlink, Name: "s", Linkname: lp("t", 97) + "///x", Mode: 0777, ModTime: t},
		{Typeflag: tar.TypeSymlink, Name: "s", Linkname: lp("t", 99) + "/x", Mode: 0777, ModTime: t},
		{Typeflag: tar.TypeSymlink, Name: "s\u00e9", Linkname: "\u00e9/x", Mode: 0777, ModTime: t},
		{Typeflag: tar.TypeLink, Name: "h", Linkname: "etc/f", Mode: 0644, ModTime: t},
		{Typeflag: tar.TypeChar, Name: "c", Devmajor: 4095, Devminor: 1048575, Mode: 0644, ModTime: t},
		{Typeflag: tar.TypeFifo, Name: "p", Mode: 0644, ModTime: t},
		{Typeflag: tar.TypeReg, Name: "old", Mode: 0644, ModTime: time.Unix(-5, 0)},
		{Typeflag: tar.TypeReg, Name: "new", Mode: 0644, ModTime: time.Unix(1<<33, 0)},
		{Typeflag: tar.TypeReg, Name: "z/cap", Mode: 0644, ModTime: t, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00"}},
		{Typeflag: tar.TypeDir, Name: "capdir/", Mode: 0755, ModTime: t, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "1", "SCHILY.xattr.security.b": "2"}},
	}
	// all interesting lengths
	for n := 99; n <= 101; n++ {
		hs = append(hs, tar.Header{Typeflag: tar.TypeReg, Name: lp("n", n), ModTime: t}, tar.Header{Typeflag: tar.TypeDir, Name: lp("n", n) + "/", ModTime: t},
			tar.Header{Typeflag: tar.TypeReg, Name: "d/" + lp("n", n), ModTime: t}, tar.Header{Typeflag: tar.TypeDir, Name: "d/" + lp("n", n) + "/", ModTime: t},
			tar.Header{Typeflag: tar.TypeReg, Name: lp("p", n) + "/" + lp("n", n), ModTime: t}, tar.Header{Typeflag: tar.TypeReg, Name: lp("p", n) + "/x", ModTime: t})
	}
	for n := 154; n <= 157; n++ {
		for m := 99; m <= 101; m += 2 {
			hs = append(hs, tar.Header{Typeflag: tar.TypeReg, Name: lp("p", n) + "/" + lp("n", m), ModTime: t}, tar.Header{Typeflag: tar.TypeDir, Name: lp("p", n) + "/" + lp("n", m) + "/", ModTime: t},
				tar.Header{Typeflag: tar.TypeReg, Name: lp("p", n) + "/\u00fc" + lp("n", m), ModTime: t}, tar.Header{Typeflag: tar.TypeReg, Name: lp("p", n) + "/" + lp("n", m), ModTime: t, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "1"}})
		}
	}
	for i := range hs {
		hs[i].Format = tar.FormatPAX
		if e := w.WriteHeader(&hs[i]); e != nil {
			fmt.Fprintln(os.Stderr, hs[i].Name, e)
		}
	}
	w.Close()
}

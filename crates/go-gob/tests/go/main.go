// Program gob writes and checks streams of generated values with Go's own encoding/gob.
//
//	gob write SEED COUNT > stream    one stream of COUNT values
//	gob check SEED COUNT < stream    reads them back and compares with what the seed generates
//
// Values are of the types in the table below, in turn. A stream that says the same values in
// another way (other type numbers, definitions elsewhere) passes the check.
package main

import (
	"bufio"
	"encoding/gob"
	"fmt"
	"math/big"
	"math/rand"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"time"
)

type Widths struct {
	B   bool
	I   int
	I8  int8
	I16 int16
	I32 int32
	I64 int64
	U   uint
	U8  uint8
	U16 uint16
	U32 uint32
	U64 uint64
	Ptr uintptr
	F32 float32
	F64 float64
	C64 complex64
	C   complex128
	S   string
	Raw []byte
}

type Named string

type Nested struct {
	Name  Named
	Inner Inner
	Ptr   *Inner
	PP    **Inner
	List  []Inner
	Ptrs  []*Inner
	Deep  [][][]string
}

type Inner struct {
	ID    uint32
	Label string
	W     *Widths
}

type Recursive struct {
	Value    int
	Next     *Recursive
	Children []Recursive
	ByName   map[string]*Recursive
}

type Maps struct {
	Strings map[string]string
	Ints    map[int64]uint8
	Structs map[string]Inner
	Lists   map[Named][]float64
	Nested  map[string]map[string][]byte
	Arrays  map[[2]int8]string
	Bools   map[bool]*Inner
}

type Holder struct {
	Any    any
	Second any
	Err    Thing
	List   []any
	Map    map[string]any
}

type Thing interface{ Thing() }

type Square struct{ Side float64 }
type Circle struct {
	Radius int
	In     any
}

func (Square) Thing()  {}
func (*Circle) Thing() {}

type Embedded struct {
	Inner
	*Square
	Extra int
}

type Times struct {
	When   time.Time
	Ptr    *time.Time
	List   []time.Time
	Big    *big.Int
	URL    url.URL
	Offset map[string]time.Time
}

type Arrays struct {
	Bytes [4]byte
	Ints  [3]int
	Inner [2]Inner
	Empty [0]int
	Slice [][2]string
}

type Empty struct{}

type Wide struct {
	F00, F01, F02, F03, F04, F05, F06, F07, F08, F09 int
	F10, F11, F12, F13, F14, F15, F16, F17, F18, F19 string
	F20, F21, F22, F23, F24, F25, F26, F27, F28, F29 *int
	E                                                Empty
	EE                                               []Empty
}

// Late holds types that no other value brings along, so that their definitions come in the middle
// of a value.
type Late1 struct{ A, B string }
type Late2 struct{ L map[string]Late1 }
type Late3 struct{ X any }

var table = []reflect.Type{
	reflect.TypeFor[Widths](),
	reflect.TypeFor[Holder](),
	reflect.TypeFor[Nested](),
	reflect.TypeFor[Recursive](),
	reflect.TypeFor[Maps](),
	reflect.TypeFor[Embedded](),
	reflect.TypeFor[Times](),
	reflect.TypeFor[Arrays](),
	reflect.TypeFor[Wide](),
	reflect.TypeFor[int](),
	reflect.TypeFor[string](),
	reflect.TypeFor[[]byte](),
	reflect.TypeFor[bool](),
	reflect.TypeFor[float64](),
	reflect.TypeFor[uint64](),
	reflect.TypeFor[[]Inner](),
	reflect.TypeFor[map[string]int](),
	reflect.TypeFor[[3]string](),
	reflect.TypeFor[time.Time](),
	reflect.TypeFor[any](),
	reflect.TypeFor[[]any](),
	reflect.TypeFor[map[string]any](),
	reflect.TypeFor[complex128](),
}

// What interfaces may hold.
var held = []any{
	int(0), "", float64(0), true, uint16(0), []byte(nil), Inner{}, &Circle{}, Square{}, time.Time{},
	[]string(nil), map[string]any(nil), []any(nil), Recursive{}, Late1{}, Late2{}, Late3{}, Named(""),
	[2]int{},
}

func init() {
	for _, v := range held {
		gob.Register(v)
	}
}

const maxDepth = 5

func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case time.Time:
		if r.Intn(5) > 0 {
			zone := time.UTC
			if r.Intn(2) == 0 {
				zone = time.FixedZone("", (r.Intn(100)-50)*900)
			}
			v.Set(reflect.ValueOf(time.Unix(r.Int63n(1<<40)-1<<38, r.Int63n(1e9)).In(zone)))
		}
		return
	case big.Int:
		n := new(big.Int).Rand(r, new(big.Int).Lsh(big.NewInt(1), 200))
		if r.Intn(2) == 0 {
			n.Neg(n)
		}
		v.Addr().Interface().(*big.Int).Set(n)
		return
	case url.URL:
		if r.Intn(2) == 0 {
			v.Set(reflect.ValueOf(url.URL{Scheme: "https", Host: word(r) + "x", Path: "/p"}))
		}
		return
	}
	if r.Intn(6) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.Intn(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		shift := uint(64-v.Type().Bits()) + uint(r.Intn(v.Type().Bits()))
		v.SetInt(int64(r.Uint64()) >> shift)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		shift := uint(64-v.Type().Bits()) + uint(r.Intn(v.Type().Bits()))
		v.SetUint(r.Uint64() >> shift)
	case reflect.Float32:
		v.SetFloat(float64(float32(r.NormFloat64() * 1e10)))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64() * 1e100)
	case reflect.Complex64:
		v.SetComplex(complex(float64(float32(r.NormFloat64())), float64(float32(r.NormFloat64()))))
	case reflect.Complex128:
		v.SetComplex(complex(r.NormFloat64(), r.NormFloat64()))
	case reflect.String:
		v.SetString(word(r))
	case reflect.Pointer:
		// gob refuses a nil pointer in a list or map, and only they come with depth left over.
		if depth < maxDepth {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth+1)
			mustPoint(v.Index(i))
		}
	case reflect.Slice:
		n := size(r, depth)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), depth+1)
			mustPoint(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range size(r, depth) {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, key, depth+1)
			fill(r, elem, depth+1)
			mustPoint(elem)
			v.SetMapIndex(key, elem)
		}
	case reflect.Interface:
		if depth >= maxDepth {
			return
		}
		t := reflect.TypeOf(held[r.Intn(len(held))])
		for !t.Implements(v.Type()) {
			t = reflect.TypeOf(held[r.Intn(len(held))])
		}
		elem := reflect.New(t).Elem()
		fill(r, elem, depth+1)
		mustPoint(elem)
		v.Set(elem)
	}
}

func mustPoint(v reflect.Value) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
}

func size(r *rand.Rand, depth int) int {
	if depth >= maxDepth {
		return 0
	}
	return r.Intn(4)
}

func word(r *rand.Rand) string {
	b := make([]byte, r.Intn(12))
	for i := range b {
		b[i] = byte('a' + r.Intn(26))
	}
	if r.Intn(20) == 0 {
		return string(b) + "\xff\u00e9" // Go's strings need not be UTF-8
	}
	return string(b)
}

func generate(seed int64, i int) reflect.Value {
	r := rand.New(rand.NewSource(seed<<20 + int64(i)))
	v := reflect.New(table[i%len(table)])
	fill(r, v.Elem(), 0)
	if v.Elem().Kind() == reflect.Interface && v.Elem().IsNil() {
		v.Elem().Set(reflect.ValueOf("not nil"))
	}
	return v
}

// equal holds two values equal as gob can tell them apart: not nil from empty or from a pointer to
// zero, nor zones by name.
func equal(a, b reflect.Value) bool {
	a, b = deref(a), deref(b)
	if !a.IsValid() || !b.IsValid() {
		return zero(a) && zero(b)
	}
	if a.Type() != b.Type() {
		return false
	}
	switch x := a.Interface().(type) {
	case time.Time:
		y := b.Interface().(time.Time)
		_, xo := x.Zone()
		_, yo := y.Zone()
		return x.Equal(y) && xo == yo
	case big.Int:
		y := b.Interface().(big.Int)
		return x.Cmp(&y) == 0
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			if a.Type().Field(i).IsExported() && !equal(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !equal(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for _, k := range a.MapKeys() {
			if !b.MapIndex(k).IsValid() || !equal(a.MapIndex(k), b.MapIndex(k)) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func deref(v reflect.Value) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		v = v.Elem()
	}
	return v
}

func zero(v reflect.Value) bool {
	if !v.IsValid() {
		return true
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !zero(deref(v.Field(i))) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

func main() {
	if len(os.Args) != 4 {
		fail("usage: gob write|check SEED COUNT")
	}
	seed, err := strconv.ParseInt(os.Args[2], 10, 64)
	must(err)
	count, err := strconv.Atoi(os.Args[3])
	must(err)
	switch os.Args[1] {
	case "write":
		out := bufio.NewWriter(os.Stdout)
		enc := gob.NewEncoder(out)
		for i := range count {
			must(enc.EncodeValue(generate(seed, i)))
		}
		must(out.Flush())
	case "check":
		dec := gob.NewDecoder(bufio.NewReader(os.Stdin))
		for i := range count {
			want := generate(seed, i)
			got := reflect.New(table[i%len(table)])
			if err := dec.DecodeValue(got); err != nil {
				fail("value %d of %s: %v", i, want.Type(), err)
			}
			if !equal(want, got) {
				fail("value %d of %s:\nwant %#v\ngot  %#v", i, want.Type(), want.Elem(), got.Elem())
			}
		}
		var more int
		if err := dec.Decode(&more); err == nil || err.Error() != "EOF" {
			fail("after %d values: %v", count, err)
		}
		fmt.Println("equal:", count)
	default:
		fail("unknown command %q", os.Args[1])
	}
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

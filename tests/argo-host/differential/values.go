package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// deepCopy also brings all numbers to what JSON makes of them, float64.
func deepCopy(value object) object {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // made of JSON
	}
	var copied object
	if err := json.Unmarshal(text, &copied); err != nil {
		panic(err)
	}
	return integers(copied).(object)
}

// integers makes whole numbers int64, as the dynamic client wants them.
func integers(value any) any {
	switch value := value.(type) {
	case object:
		for key, one := range value {
			value[key] = integers(one)
		}
	case []any:
		for i, one := range value {
			value[i] = integers(one)
		}
	case float64:
		if whole := int64(value); float64(whole) == value {
			return whole
		}
	}
	return value
}

// normal leaves out what means nothing: nulls, and empty labels.
func normal(value any) any {
	switch value := value.(type) {
	case object:
		kept := object{}
		for key, one := range value {
			one = normal(one)
			if one == nil {
				continue
			}
			if empty, is := one.(object); is && len(empty) == 0 && key == "labels" {
				continue
			}
			kept[key] = one
		}
		return kept
	case []any:
		kept := make([]any, 0, len(value))
		for _, one := range value {
			kept = append(kept, normal(one))
		}
		return kept
	case float64:
		if whole := int64(value); float64(whole) == value {
			return whole
		}
	}
	return value
}

func equal(a, b any) bool { return reflect.DeepEqual(normal(a), normal(b)) }

// list is a JSON list of objects, without what isn't one.
func list(value any) []object {
	var all []object
	items, _ := value.([]any)
	for _, item := range items {
		if item, is := item.(object); is {
			all = append(all, item)
		}
	}
	return all
}

func unlist(all []object) []any {
	items := make([]any, 0, len(all))
	for _, one := range all {
		items = append(items, one)
	}
	return items
}

func text(value any) string {
	text, _ := value.(string)
	return text
}

func number(value any) int64 {
	switch value := value.(type) {
	case int64:
		return value
	case float64:
		return int64(value)
	case int:
		return int64(value)
	}
	return 0
}

func inner(value object, field string) object {
	one, _ := value[field].(object)
	return one
}

func (s snapshot) copy() snapshot {
	copied := snapshot{}
	for key, spec := range s {
		copied[key] = deepCopy(spec)
	}
	return copied
}

// differ lists where two snapshots differ, one line each; empty if they don't.
func differ(expected, found snapshot) []string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(expected)) {
		if _, there := found[key]; !there {
			lines = append(lines, key+": missing")
			continue
		}
		lines = append(lines, differences(key+": spec", normal(expected[key]), normal(found[key]))...)
	}
	return lines
}

func differences(path string, expected, found any) []string {
	if reflect.DeepEqual(expected, found) {
		return nil
	}
	switch e := expected.(type) {
	case object:
		if f, is := found.(object); is {
			var lines []string
			keys := maps.Clone(e)
			maps.Copy(keys, f)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				lines = append(lines, differences(path+"."+key, e[key], f[key])...)
			}
			return lines
		}
	case []any:
		if f, is := found.([]any); is && len(e) == len(f) {
			var lines []string
			for i := range e {
				lines = append(lines, differences(fmt.Sprintf("%s[%d]", path, i), e[i], f[i])...)
			}
			return lines
		}
	}
	return []string{fmt.Sprintf("%s:\n      expected %s\n      found    %s", path, compact(expected), compact(found))}
}

func compact(value any) string {
	if value == nil {
		return "nothing"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func indent(lines []string) string { return "    " + strings.Join(lines, "\n    ") }

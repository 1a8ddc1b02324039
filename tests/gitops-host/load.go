package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// interval is the time between two requests of a stream.
const interval = 20 * time.Millisecond

// stream is what became of a steady stream of requests by the sidecar to one canary, all of which a header route takes.
type stream struct {
	mutex  sync.Mutex
	sent   int
	failed []string
	// elsewhere counts answers of another version than the canary's.
	elsewhere int
	stop      context.CancelFunc
	done      sync.WaitGroup
}

// send begins a stream of requests that shall reach the image.
func send(ctx context.Context, sidecar string, to *canary, image string) *stream {
	ctx, stop := context.WithCancel(ctx)
	one := &stream{stop: stop}
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	one.done.Add(1)
	go func() {
		defer one.done.Done()
		defer client.CloseIdleConnections()
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			one.done.Add(1)
			go func() {
				defer one.done.Done()
				found, err := ask(client, sidecar, "web."+to.namespace)
				one.mutex.Lock()
				defer one.mutex.Unlock()
				one.sent++
				if err != nil {
					one.failed = append(one.failed, err.Error())
				} else if found != image {
					one.elsewhere++
				}
			}()
		}
	}()
	return one
}

// ask sends one request and returns the image of the pod that has answered.
func ask(client *http.Client, sidecar, host string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+sidecar+"/", nil)
	if err != nil {
		return "", err
	}
	request.Host = host
	request.Header.Set("x-beta", "1")
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %.100s", answer.StatusCode, body)
	}
	var who struct{ Image string }
	return who.Image, json.Unmarshal(body, &who)
}

// noticed ends the stream and says what its requests have noticed, empty if nothing.
func (s *stream) noticed() string {
	s.stop()
	s.done.Wait()
	if s.sent == 0 {
		return "no request was sent"
	}
	if len(s.failed) == 0 && s.elsewhere == 0 {
		return ""
	}
	first := ""
	if len(s.failed) > 0 {
		first = ", first: " + s.failed[0]
	}
	return fmt.Sprintf("of %d requests %d failed and %d were at another version%s", s.sent, len(s.failed), s.elsewhere, first)
}

package drive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/api/googleapi"
)

// call is one request of a batch.
type call struct {
	method, path string
	body         any // nil is none
}

// answer is what came back for it: err is a *googleapi.Error, or why there was no answer.
type answer struct {
	body []byte
	err  error
}

const partMark = "<syftfs + "

var errNoAnswer = errors.New("the batch was answered without this call")

// batch makes many calls with one request for each hundred; each is charged and may fail on its own. The error is that of a
// whole request, and then some calls may have been made.
func (c *Client) batch(ctx context.Context, calls []call) ([]answer, error) {
	var all []answer
	for part := range slices.Chunk(calls, batchLimit) {
		answers, err := c.batchOf(ctx, part)
		if err != nil {
			return nil, err
		}
		all = append(all, answers...)
	}
	return all, nil
}

func (c *Client) batchOf(ctx context.Context, calls []call) ([]answer, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for n, call := range calls {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/http"}, "Content-Transfer-Encoding": {"binary"},
			"Content-Id": {partMark + strconv.Itoa(n) + ">"}})
		if err != nil {
			return nil, err
		}
		var body []byte
		if call.body != nil {
			if body, err = json.Marshal(call.body); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(part, "%s %s HTTP/1.1\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n\r\n%s", call.method, call.path, len(body), body)
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.addr.api+"/batch/drive/v3", bytes.NewReader(b.Bytes()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "multipart/mixed; boundary="+w.Boundary())
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // read to its end, or given up
	if err := googleapi.CheckResponse(resp); err != nil {
		return nil, err
	}
	return readAnswers(resp, len(calls))
}

func readAnswers(resp *http.Response, n int) ([]answer, error) {
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		return nil, notDrive("")
	}
	answers := slices.Repeat([]answer{{err: errNoAnswer}}, n)
	for r := multipart.NewReader(resp.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return answers, nil
		}
		if err != nil {
			return nil, err
		}
		id := strings.TrimSuffix(part.Header.Get("Content-Id"), ">")
		i, err := strconv.Atoi(id[strings.LastIndexByte(id, ' ')+1:])
		if err != nil || i < 0 || i >= n {
			return nil, notDrive("")
		}
		answers[i] = readAnswer(part)
	}
}

func readAnswer(r io.Reader) answer {
	resp, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close() // read to its end
	if err := googleapi.CheckResponse(resp); err != nil {
		return answer{err: err}
	}
	body, err := io.ReadAll(resp.Body)
	return answer{body: body, err: err}
}

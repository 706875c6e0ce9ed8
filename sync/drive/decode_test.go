package drive

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// FuzzBatchAnswer: no answer of a server makes the reader fail otherwise than with an error, and each call gets one answer.
func FuzzBatchAnswer(f *testing.F) {
	good := "--b\r\nContent-Type: application/http\r\nContent-ID: <response-syftfs + 1>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\r\n" +
		"--b\r\nContent-ID: <response-syftfs + 0>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}\r\n--b--\r\n"
	f.Add("multipart/mixed; boundary=b", []byte(good))
	f.Add("multipart/mixed; boundary=b", []byte(good[:90]))
	f.Add("text/html", []byte("<html>"))
	f.Add("multipart/mixed", []byte("----"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		resp := &http.Response{Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body))}
		answers, err := readAnswers(resp, 3)
		if err == nil && len(answers) != 3 {
			t.Errorf("%d answers", len(answers))
		}
	})
}

func TestBatchAnswer(t *testing.T) {
	body := "--b\r\nContent-Type: application/http\r\nContent-ID: <response-syftfs + 1>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\r\n" +
		"--b\r\nContent-ID: <response-syftfs + 0>\r\n\r\nHTTP/1.1 200 OK\nContent-Length: 10\n\n{\"id\":\"p\"}\r\n--b--\r\n"
	resp := &http.Response{Header: http.Header{"Content-Type": {"multipart/mixed; boundary=b"}}, Body: io.NopCloser(bytes.NewReader([]byte(body)))}
	answers, err := readAnswers(resp, 3)
	if err != nil || answers[1].err != nil || string(answers[0].body) != `{"id":"p"}` || answers[0].err != nil || answers[2].err != errNoAnswer {
		t.Errorf("answers %v, %v", answers, err)
	}
}

func FuzzStoredBytes(f *testing.F) {
	for _, s := range []string{"", "bytes=0-41", "bytes=0--1", "bytes=1-5", "bytes=0-99999999999999999999", "0-5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if n, err := storedBytes(header, 100); err == nil && (n < 0 || n > 100) {
			t.Errorf("%q is %d", header, n)
		}
	})
}

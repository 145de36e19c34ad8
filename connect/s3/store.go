package s3

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/weir/weir/connect/sdk"
)

// access is what options say about a bucket and how it is reached. Those who set it have other names for its parts: named gives them.
type access struct {
	bucket, region, url string
	key, secret         string // "": those of the environment
	pathStyle           bool
	retries             int // of a request
	named               accessNames
}

type accessNames struct{ bucket, region, url, key, secret string }

// store is a bucket.
type store struct {
	access
	core minio.Core
	put  minio.PutObjectOptions
	free sync.Pool // buffers of files that are done
}

// buffer gives an empty one.
func (s *store) buffer() []byte {
	if b, ok := s.free.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func (a access) open() (*store, error) {
	secure, host := true, "s3.amazonaws.com"
	if a.url != "" {
		u, err := url.Parse(a.url)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" {
			return nil, sdk.Misconfigured("%s has to be like https://host:port, without a path", a.named.url)
		}
		secure, host = u.Scheme == "https", u.Host
	}
	if (a.key == "") != (a.secret == "") {
		return nil, sdk.Misconfigured("Set both %s and %s, or neither, to take them from the environment", a.named.key, a.named.secret)
	}
	creds := credentials.NewStaticV4(a.key, a.secret, "")
	if a.key == "" {
		creds = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Timeout: 3 * time.Second}},
		})
	}
	lookup := minio.BucketLookupAuto
	if a.pathStyle && a.url != "" {
		lookup = minio.BucketLookupPath
	}
	// The runtime tries again by itself, and says so.
	core, err := minio.NewCore(host, &minio.Options{Creds: creds, Secure: secure, Region: a.region, BucketLookup: lookup, MaxRetries: 1 + a.retries})
	if err != nil {
		return nil, sdk.Misconfigured("The store cannot be used: %w", err)
	}
	return &store{access: a, core: *core}, nil
}

// check finds out whether the bucket can be reached.
func (s *store) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	there, err := s.core.BucketExists(ctx, s.bucket)
	if there && err == nil {
		return nil
	}
	var e minio.ErrorResponse
	if err != nil && !errors.As(err, &e) {
		return s.problem("found", err)
	}
	// The answer has no body that says more. That to a list has; not to be allowed to list is nothing that a sink minds.
	o := <-s.core.Client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{MaxKeys: 1})
	if o.Err != nil && (!errors.As(o.Err, &e) || e.Code != minio.AccessDenied) {
		return s.problem("found", o.Err)
	}
	return nil
}

// problem says what an error of the store means. done is what could not be done with the bucket.
func (s *store) problem(done string, err error) error {
	var e minio.ErrorResponse
	if !errors.As(err, &e) {
		return s.unreached(err)
	}
	n := s.named
	switch e.Code {
	case minio.NoSuchBucket:
		return sdk.Misconfigured("The bucket %s is not there: create it, or correct %s", s.bucket, n.bucket)
	case "InvalidBucketName":
		return sdk.Misconfigured("%s is no name that a bucket can have: correct %s", s.bucket, n.bucket)
	case "InvalidAccessKeyId", "XAdminUserNotFound":
		return sdk.Misconfigured("The store at %s does not know the access key: correct %s", s.place(), n.key)
	case "SignatureDoesNotMatch":
		return sdk.Misconfigured("The store at %s refuses the secret key: correct %s", s.place(), n.secret)
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return sdk.Misconfigured("The store at %s refuses the credentials of the environment (%s): renew them, or set %s and %s", s.place(), e.Code, n.key, n.secret)
	case minio.AccessDenied, "AllAccessDisabled", "AccountProblem":
		return sdk.Misconfigured("The bucket %s cannot be %s with the access key (%s): allow it to, or set %s and %s of one that may", s.bucket, done, e.Code, n.key, n.secret)
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException":
		return sdk.Misconfigured("The bucket %s is not in the region %s: correct %s (%s)", s.bucket, s.region, n.region, e.Message)
	case "RequestTimeTooSkewed":
		return sdk.Misconfigured("The clock of this machine differs from that of the store at %s: set it right", s.place())
	}
	err = fmt.Errorf("the bucket %s cannot be %s: %w", s.bucket, done, err)
	if e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout || e.Code == "SlowDown" || e.Code == "RequestTimeout" {
		return sdk.Retry(err)
	}
	return err
}

// unreached says what an error without an answer means.
func (s *store) unreached(err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown), errors.As(err, &host):
		return sdk.Misconfigured("The certificate of the store at %s is not trusted: add it to those of this machine, or correct %s (%w)", s.place(), s.named.url, err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return sdk.Misconfigured("The store at %s does not speak https: correct %s", s.place(), s.named.url)
	}
	return sdk.Retry(fmt.Errorf("the store at %s cannot be reached: %w", s.place(), err))
}

func (s *store) place() string { return s.core.EndpointURL().Host }

// object is a file that is being written to the bucket. It is there when all of it is, or not at all.
type object struct {
	s     *store
	key   string
	tags  map[string]string
	buf   []byte // what was not sent yet
	id    string // of the upload in parts; "": there is none
	parts []minio.CompletePart
	done  bool
}

// Write implements io.Writer. It sends nothing.
func (o *object) Write(b []byte) (int, error) {
	o.buf = append(o.buf, b...)
	return len(b), nil
}

func (o *object) options() minio.PutObjectOptions {
	put := o.s.put
	put.UserTags = o.tags
	return put
}

// send sends what there is as a part.
func (o *object) send(ctx context.Context) (err error) {
	if o.id == "" {
		if o.id, err = o.s.core.NewMultipartUpload(ctx, o.s.bucket, o.key, o.options()); err != nil {
			return o.problem(ctx, err)
		}
	}
	part, err := o.s.core.PutObjectPart(ctx, o.s.bucket, o.key, o.id, len(o.parts)+1, bytes.NewReader(o.buf), int64(len(o.buf)), minio.PutObjectPartOptions{})
	if err != nil {
		return o.problem(ctx, err)
	}
	o.parts = append(o.parts, minio.CompletePart{PartNumber: len(o.parts) + 1, ETag: part.ETag})
	o.buf = o.buf[:0]
	return nil
}

// complete makes the file be there.
func (o *object) complete(ctx context.Context) error {
	if o.done {
		return nil
	}
	var err error
	if o.id == "" {
		_, err = o.s.core.PutObject(ctx, o.s.bucket, o.key, bytes.NewReader(o.buf), int64(len(o.buf)), "", "", o.options())
	} else {
		if len(o.buf) > 0 {
			if err := o.send(ctx); err != nil {
				return err
			}
		}
		_, err = o.s.core.CompleteMultipartUpload(ctx, o.s.bucket, o.key, o.id, o.parts, minio.PutObjectOptions{})
	}
	if err != nil {
		return o.problem(ctx, err)
	}
	b := o.buf
	o.s.free.Put(&b)
	o.done, o.buf = true, nil
	return nil
}

// errForgotten is an upload in parts that the store does not know (any more): what was sent has to be sent again.
var errForgotten = errors.New("the store has forgotten an upload in parts")

func (o *object) problem(ctx context.Context, err error) error {
	var e minio.ErrorResponse
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &e) && e.Code == minio.NoSuchUpload:
		return errForgotten
	}
	return o.s.problem("written", err)
}

// abort lets the store forget parts that were sent.
func (o *object) abort(ctx context.Context) {
	if o.id != "" && !o.done {
		_ = o.s.core.AbortMultipartUpload(ctx, o.s.bucket, o.key, o.id) // else a lifecycle rule of the bucket has to
	}
}

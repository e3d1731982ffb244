;; Has an input schema that refers to a file of this machine.
(data (i32.const 0) "\10\00\00\00\01\00\00\00")
(data (i32.const 16) "\80\00\00\00\0b\00\00\00" "\00\00\00\00\00\00\00\00"
  "\01\00\00\00" "\b8\0b\00\00" "\1e\00\00\00")
(data (i32.const 128) "schema-file")
(data (i32.const 3000) "{\22$ref\22: \22file:///etc/passwd\22}")
(func (export "describe") (result i32) (i32.const 0))

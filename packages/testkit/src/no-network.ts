// Unit tests may not open sockets: a test that needs the stack is an integration test and says so in its file name.
import net from 'node:net'

net.Socket.prototype.connect = function refuse(): never {
  throw new Error('a unit test tried to open a socket; name the file *.integration.test.ts and move it to test/')
}
